import { api, ask } from '$lib/api';
import { forEach } from '$lib/api/each';
import { lastDay } from '$lib/api/stats';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, url }) => {
  const after = url.searchParams.get('after') ?? undefined;
  const client = api(fetch);
  const apps = await ask(client.GET('/apps', { params: { query: { limit: 60, after } } }));
  // It comes after the page: cards have room for it.
  const stats = forEach(
    apps.items.map(({ slug }) => slug),
    (app) => lastDay(client, app),
  );
  return { apps, stats };
};
