import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, depends }) => {
  depends('app:users');
  return { users: await ask(api(fetch).GET('/users', { params: { query: { limit: 50 } } })) };
};
