import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:queues');
  const path = { app: params.app };
  return { queues: await ask(api(fetch).GET('/apps/{app}/queues', { params: { path } })) };
};
