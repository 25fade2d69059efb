import { activeSource } from '$lib/api/source';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params }) => ({
  source: await activeSource(params.app, fetch),
});
