import { api, type Schemas } from '$lib/api';
import { logs } from '$lib/api/logs';
import type { PageLoad } from './$types';

const LEVELS: Schemas['Level'][] = ['debug', 'info', 'warn', 'error'];

export const load: PageLoad = async ({ fetch, params, url }) => {
  const asked = url.searchParams.get('level');
  const level = LEVELS.find((each) => each === asked) ?? 'debug';
  const execution = url.searchParams.get('execution');
  const query = { limit: 500, level, ...(execution === null ? {} : { execution }) };
  const lines = await logs(api(fetch), params.app, query);
  return { lines, level, execution };
};
