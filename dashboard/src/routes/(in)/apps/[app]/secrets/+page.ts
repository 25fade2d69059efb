import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:secrets');
  const path = { app: params.app };
  const client = api(fetch);
  const [secrets, config] = await Promise.all([
    ask(client.GET('/apps/{app}/secrets', { params: { path } })),
    ask(client.GET('/apps/{app}/config', { params: { path } })),
  ]);
  return { secrets, config };
};
