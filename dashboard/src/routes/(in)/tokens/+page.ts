import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, depends }) => {
  depends('app:tokens');
  const client = api(fetch);
  const [tokens, apps] = await Promise.all([
    ask(client.GET('/tokens')),
    ask(client.GET('/apps', { params: { query: { limit: 1_000 } } })),
  ]);
  return { tokens, apps };
};
