import { api, ask, type Schemas } from '$lib/api';
import { forEach } from '$lib/api/each';
import type { PageLoad } from './$types';

/** Apps of a page: of each it is asked by itself what it uses, and whose it is. */
const PAGE = 25;

export interface About {
  owners: string[];
  used: Schemas['AppUsage'];
}

export const load: PageLoad = async ({ fetch, url }) => {
  const client = api(fetch);
  const after = url.searchParams.get('after') ?? undefined;
  const apps = await ask(client.GET('/apps', { params: { query: { limit: PAGE, after } } }));
  const about = forEach(
    apps.items.map(({ slug }) => slug),
    async (app): Promise<About> => {
      const path = { app };
      const [members, used] = await Promise.all([
        ask(client.GET('/apps/{app}/members', { params: { path } })),
        ask(client.GET('/apps/{app}/usage', { params: { path, query: { days: 7 } } })),
      ]);
      const owners = members.items.filter(({ role }) => role === 'owner').map(({ name }) => name);
      return { owners, used };
    },
  );
  // It comes after the page: the table has room for it.
  return { apps, about, beginning: after === undefined };
};
