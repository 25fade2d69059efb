import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:kv');
  const path = { app: params.app };
  return { collections: await ask(api(fetch).GET('/apps/{app}/kv', { params: { path } })) };
};
