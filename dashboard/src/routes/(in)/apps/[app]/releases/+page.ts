import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:releases');
  const call = api(fetch).GET('/apps/{app}/releases', { params: { path: { app: params.app } } });
  return { releases: await ask(call) };
};
