import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, url, depends }) => {
  depends('app:files');
  const client = api(fetch);
  const { app } = params;
  const prefix = url.searchParams.get('prefix') ?? '';
  const buckets = await ask(client.GET('/apps/{app}/files', { params: { path: { app } } }));
  const bucket = url.searchParams.get('bucket') ?? buckets.items[0]?.bucket ?? null;
  const files =
    bucket === null
      ? { items: [], next: null }
      : await ask(
          client.GET('/apps/{app}/files/{bucket}', {
            params: { path: { app, bucket }, query: { prefix, limit: 50 } },
          }),
        );
  return { buckets, bucket, prefix, files };
};
