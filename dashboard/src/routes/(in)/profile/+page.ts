import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, depends }) => {
  depends('app:sessions');
  return { sessions: await ask(api(fetch).GET('/sessions')) };
};
