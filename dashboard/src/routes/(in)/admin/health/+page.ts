import { api, ask } from '$lib/api';
import { parse } from '$lib/metrics';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, depends }) => {
  depends('app:health');
  const [instance, ready, metrics] = await Promise.all([
    ask(api(fetch).GET('/instance')),
    fetch('/readyz').then(({ ok }) => ok),
    // What the server counts is no part of the API, but its admins may see it.
    fetch('/metrics').then((answer) => (answer.ok ? answer.text() : '')),
  ]);
  return { instance, ready, metrics: parse(metrics) };
};
