import { api, ask, find } from '$lib/api';
import { usage } from '$lib/api/usage';
import { executions } from '$lib/history/executions';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params }) => {
  const client = api(fetch);
  const path = { app: params.app };
  const [release, used, latest, domains] = await Promise.all([
    find(client.GET('/apps/{app}/releases/active', { params: { path } })),
    usage(client, params.app, 30),
    executions(client.GET('/apps/{app}/executions', { params: { path, query: { limit: 8 } } })),
    ask(client.GET('/apps/{app}/domains', { params: { path } })),
  ]);
  return { release, used, executions: latest, domains };
};
