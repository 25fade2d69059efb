import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:dead-letters');
  const path = { app: params.app };
  return {
    letters: await ask(
      api(fetch).GET('/apps/{app}/dead-letters', { params: { path, query: { limit: 50 } } }),
    ),
  };
};
