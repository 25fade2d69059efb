import { api, ask } from '$lib/api';
import { fileOf } from '$lib/api/source';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params: { app, id } }) => {
  const call = api(fetch).GET('/apps/{app}/executions/{id}', { params: { path: { app, id } } });
  const execution = await ask(call);
  const at = execution.error?.position ?? null;
  const file = at === null ? null : await fileOf(app, execution.release, at.file, fetch);
  return { execution, source: typeof file === 'string' ? file : null };
};
