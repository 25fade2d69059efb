import { api } from '$lib/api';
import { events } from '$lib/events';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:events');
  const path = { app: params.app };
  return {
    events: await events(
      api(fetch).GET('/apps/{app}/events', { params: { path, query: { limit: 50 } } }),
    ),
  };
};
