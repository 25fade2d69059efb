import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, url, depends }) => {
  depends('app:kv');
  const { app, collection } = params;
  const prefix = url.searchParams.get('prefix') ?? '';
  const entries = await ask(
    api(fetch).GET('/apps/{app}/kv/{collection}', {
      params: { path: { app, collection }, query: { prefix, limit: 50 } },
    }),
  );
  return { collection, prefix, entries };
};
