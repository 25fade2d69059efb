import { api, ask, find } from '$lib/api';
import { activeText } from '$lib/api/source';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params }) => {
  const client = api(fetch);
  const path = { app: params.app, id: params.id };
  const execution = await ask(client.GET('/apps/{app}/executions/{id}', { params: { path } }));
  const at = execution.error?.position ?? null;
  // The file as the release of then had it is the active one's if its hash is the same.
  const source = at === null ? null : await sourceOf(params.app, execution.release, at.file);
  return { execution, source };

  async function sourceOf(app: string, number: number, file: string): Promise<string | null> {
    const [then, now] = await Promise.all([
      find(client.GET('/apps/{app}/releases/{number}', { params: { path: { app, number } } })),
      find(client.GET('/apps/{app}/releases/active', { params: { path: { app } } })),
    ]);
    const hash = (release: typeof then) => release?.paths.find(({ path }) => path === file)?.hash;
    return hash(then) !== undefined && hash(then) === hash(now)
      ? activeText(app, file, fetch)
      : null;
  }
};
