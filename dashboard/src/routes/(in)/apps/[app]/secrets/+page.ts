import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:secrets');
  const path = { app: params.app };
  return { secrets: await ask(api(fetch).GET('/apps/{app}/secrets', { params: { path } })) };
};
