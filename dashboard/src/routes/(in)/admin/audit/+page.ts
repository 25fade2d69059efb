import { api, ask } from '$lib/api';
import { entries } from '$lib/api/audit';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch }) => ({
  log: entries(await ask(api(fetch).GET('/audit', { params: { query: { limit: 100 } } }))),
});
