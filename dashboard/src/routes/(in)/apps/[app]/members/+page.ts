import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:members');
  const path = { app: params.app };
  return { members: await ask(api(fetch).GET('/apps/{app}/members', { params: { path } })) };
};
