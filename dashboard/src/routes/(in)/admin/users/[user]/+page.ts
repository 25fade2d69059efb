import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:users');
  const client = api(fetch);
  const path = { user: params.user };
  const [user, limits] = await Promise.all([
    ask(client.GET('/users/{user}', { params: { path } })),
    ask(client.GET('/users/{user}/limits', { params: { path } })),
  ]);
  return { user, limits };
};
