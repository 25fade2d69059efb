import { api, ask } from '$lib/api';
import type { PageLoad } from './$types';

const DAYS = [7, 30, 90];

export const load: PageLoad = async ({ fetch, params, url }) => {
  const asked = Number(url.searchParams.get('days'));
  const days = DAYS.includes(asked) ? asked : 30;
  const path = { app: params.app };
  const call = api(fetch).GET('/apps/{app}/usage', { params: { path, query: { days } } });
  return { days, choices: DAYS, used: await ask(call) };
};
