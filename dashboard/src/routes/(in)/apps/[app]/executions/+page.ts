import { api } from '$lib/api';
import { executions } from '$lib/history/executions';
import { query } from '$lib/history/filters';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, url }) => {
  const filters = query(url.searchParams, Date.now());
  const path = { app: params.app };
  const call = api(fetch).GET('/apps/{app}/executions', {
    params: { path, query: { ...filters, limit: 50 } },
  });
  return { executions: await executions(call), filters };
};
