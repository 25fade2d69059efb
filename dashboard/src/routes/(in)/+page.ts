import { api, ask } from '$lib/api';
import { usage } from '$lib/api/usage';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, url }) => {
  const after = url.searchParams.get('after') ?? undefined;
  const apps = await ask(api(fetch).GET('/apps', { params: { query: { limit: 60, after } } }));
  return {
    apps,
    used: used(
      fetch,
      apps.items.map(({ slug }) => slug),
    ),
  };
};

/** What each app did in the last days. It comes after the page: cards have room for it. */
async function used(fetch: typeof globalThis.fetch, slugs: string[]) {
  const client = api(fetch);
  const found = await Promise.all(
    // An app that was deleted meanwhile has none; its card says so.
    slugs.map(async (app) => [app, await usage(client, app, 14).catch(() => null)] as const),
  );
  return new Map(found);
}
