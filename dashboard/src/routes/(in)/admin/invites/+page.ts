import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, depends }) => {
  depends('app:invites');
  return { invites: await ask(api(fetch).GET('/invites')) };
};
