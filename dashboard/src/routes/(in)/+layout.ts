import { redirect } from '@sveltejs/kit';
import { loginFor } from '$lib/address';
import { api, ask, Problem } from '$lib/api';
import type { LayoutLoad } from './$types';

export const load: LayoutLoad = async ({ fetch, url, depends, untrack }) => {
  depends('app:session');
  try {
    return { session: await ask(api(fetch).GET('/session')) };
  } catch (thrown) {
    if (thrown instanceof Problem && thrown.code === 'unauthorized')
      redirect(
        307,
        untrack(() => loginFor(url)),
      );
    throw thrown;
  }
};
