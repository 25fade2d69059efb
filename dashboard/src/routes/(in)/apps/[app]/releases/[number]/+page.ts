import { error } from '@sveltejs/kit';
import { api, ask, find } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, url, depends }) => {
  depends('app:releases');
  const number = Number(params.number);
  if (!Number.isInteger(number) || number < 1) error(404);
  const client = api(fetch);
  const path = { app: params.app, number };
  const [release, active] = await Promise.all([
    ask(client.GET('/apps/{app}/releases/{number}', { params: { path } })),
    find(client.GET('/apps/{app}/releases/active', { params: { path } })),
  ]);
  // A release is told beside the active one, and the active one beside the one before it.
  const asked = Number(url.searchParams.get('from'));
  const from = asked > 0 ? asked : release.active ? number - 1 : (active?.number ?? number - 1);
  const diff =
    from < 1
      ? null
      : await find(
          client.GET('/apps/{app}/releases/{number}/diff', { params: { path, query: { from } } }),
        );
  return { release, active: active?.number ?? null, diff };
};
