import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:domains');
  const path = { app: params.app };
  return { domains: await ask(api(fetch).GET('/apps/{app}/domains', { params: { path } })) };
};
