import { activeSource } from '$lib/api/source';
import type { PageLoad } from './$types';

/** How long the page waits for the files. Mostly they come sooner, and it is drawn once with them. */
const WAIT_MS = 40;

/** The page is there before the files are, if these take their time. */
export const load: PageLoad = async ({ fetch, params }) => {
  const source = activeSource(params.app, fetch);
  // The workspace says what went wrong, once there is one.
  const there = source.catch(() => {});
  await Promise.race([there, new Promise((done) => setTimeout(done, WAIT_MS))]);
  return { source };
};
