import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:schedules');
  const path = { app: params.app };
  return { schedules: await ask(api(fetch).GET('/apps/{app}/schedules', { params: { path } })) };
};
