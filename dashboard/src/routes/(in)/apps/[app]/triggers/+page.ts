import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params }) => {
  const path = { app: params.app };
  return { triggers: await ask(api(fetch).GET('/apps/{app}/triggers', { params: { path } })) };
};
