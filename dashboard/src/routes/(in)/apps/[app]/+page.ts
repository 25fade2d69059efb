import { api, ask, find } from '$lib/api';
import { isRange, lately } from '$lib/api/stats';
import { executions } from '$lib/history/executions';
import { painted } from '$lib/painted';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, url, depends }) => {
  depends('app:overview');
  const asked = url.searchParams.get('range');
  const client = api(fetch);
  const path = { app: params.app };
  const newest = (outcome?: string) =>
    executions(
      client.GET('/apps/{app}/executions', { params: { path, query: { outcome, limit: 6 } } }),
    );
  const [release, stats, used, dead, domains] = await Promise.all([
    find(client.GET('/apps/{app}/releases/active', { params: { path } })),
    lately(client, params.app, isRange(asked) ? asked : '1d'),
    ask(client.GET('/apps/{app}/usage', { params: { path, query: { days: 1 } } })),
    ask(client.GET('/apps/{app}/dead-letters', { params: { path, query: { limit: 100 } } })),
    ask(client.GET('/apps/{app}/domains', { params: { path } })),
  ]);
  // What is further down is asked for once this is seen, and holds up nothing.
  const details = painted().then(async () => {
    const [failed, schedules, latest] = await Promise.all([
      newest('failed'),
      ask(client.GET('/apps/{app}/schedules', { params: { path } })),
      newest(),
    ]);
    return { failed, schedules, latest };
  });
  // The page says what went wrong.
  details.catch(() => {});
  return { release, stats, used, dead, domains, details };
};
