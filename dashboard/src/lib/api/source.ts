/** The files of releases, with their contents. */
import { api, find } from '.';
import { content, type Content, type Original } from '$lib/editor/draft';

/** Requests for files at once. */
const AT_ONCE = 6;

export interface Source {
  /** The active release; 0 before the first deploy. */
  release: number;
  /** What a deploy on top of it names as `If-Match`; `null` before the first. */
  etag: string | null;
  files: Original[];
}

type Fetch = typeof globalThis.fetch;

/** The active release as a whole: in one request, but for files that are no text. */
export async function activeSource(app: string, fetch?: Fetch): Promise<Source> {
  let etag: string | null = null;
  const call = api(fetch)
    .GET('/apps/{app}/releases/active', { params: { path: { app }, query: { content: true } } })
    .then((answer) => {
      etag = answer.response.headers.get('etag');
      return answer;
    });
  const release = await find(call);
  if (release === null) return { release: 0, etag: null, files: [] };
  const files = release.paths.flatMap(({ path, hash, content }): Original[] =>
    content == null ? [] : [{ path, hash, content }],
  );
  const waiting = release.paths.filter(({ content }) => content == null);
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { path, hash } = next;
      const found = await fileOf(app, release.number, path, fetch);
      if (found === null) throw new Error(`release ${release.number} was deleted meanwhile`);
      files.push({ path, hash, content: found });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { release: release.number, etag, files };
}

/** A file as a release has it; `null` if there is no such file or release. */
export async function fileOf(
  app: string,
  number: number,
  path: string,
  fetch?: Fetch,
): Promise<Content | null> {
  const call = api(fetch).GET('/apps/{app}/releases/{number}/files/{path}', {
    params: { path: { app, number, path } },
    // The path's slashes are the address's own.
    pathSerializer: (pattern: string) =>
      pattern
        .replace('{app}', encodeURIComponent(app))
        .replace('{number}', String(number))
        .replace('{path}', path.split('/').map(encodeURIComponent).join('/')),
    parseAs: 'arrayBuffer',
  });
  const found = await find(call);
  return found === null ? null : content(new Uint8Array(found));
}
