import { api, ask } from '$lib/api';
import type { LayoutLoad } from './$types';

export const load: LayoutLoad = async ({ fetch, params, depends }) => {
  depends('app:app');
  return {
    app: await ask(api(fetch).GET('/apps/{app}', { params: { path: { app: params.app } } })),
  };
};
