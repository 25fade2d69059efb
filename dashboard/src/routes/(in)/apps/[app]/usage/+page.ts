import { api } from '$lib/api';
import { usage } from '$lib/api/usage';
import type { PageLoad } from './$types';

const DAYS = [7, 30, 90];

export const load: PageLoad = async ({ fetch, params, url }) => {
  const asked = Number(url.searchParams.get('days'));
  const days = DAYS.includes(asked) ? asked : 30;
  return { days, choices: DAYS, used: await usage(api(fetch), params.app, days) };
};
