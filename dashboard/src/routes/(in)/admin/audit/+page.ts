import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch }) => ({
  log: await ask(api(fetch).GET('/audit', { params: { query: { limit: 100 } } })),
});
