import { api, ask } from '$lib/api';
import { indented, member } from '$lib/json';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('app:events');
  const path = { app: params.app, id: params.id };
  // As text, since what the event carries is shown as it was written.
  const text = await ask(
    api(fetch).GET('/apps/{app}/events/{id}', { params: { path }, parseAs: 'text' }),
  );
  const event = JSON.parse(text) as import('$lib/api').Schemas['EventDetail'];
  return { event, fields: indented(member(text, 'fields') ?? 'null') };
};
