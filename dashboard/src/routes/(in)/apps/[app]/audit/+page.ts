import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params }) => {
  const path = { app: params.app };
  const call = api(fetch).GET('/apps/{app}/audit', { params: { path, query: { limit: 50 } } });
  return { log: await ask(call) };
};
