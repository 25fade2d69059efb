import { activeSource } from '$lib/api/source';
import type { PageLoad } from './$types';

/** The page is there before the files are. */
export const load: PageLoad = ({ fetch, params }) => {
  const source = activeSource(params.app, fetch);
  // The workspace says what went wrong, once there is one.
  source.catch(() => {});
  return { source };
};
