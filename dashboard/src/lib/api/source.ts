/** The files of an app's active release, with their contents. */
import { api, find } from '.';
import { content, type Original } from '$lib/editor/draft';

/** Requests for files at once. */
const AT_ONCE = 6;

export interface Source {
  /** The active release; 0 before the first deploy. */
  release: number;
  /** What a deploy on top of it names as `If-Match`; `null` before the first. */
  etag: string | null;
  files: Original[];
}

/** The active release as a whole: if another one becomes active meanwhile, that one. */
export async function activeSource(app: string, fetch?: typeof globalThis.fetch): Promise<Source> {
  for (let attempt = 0; ; attempt++) {
    const before = await active(app, fetch);
    if (before === null) return { release: 0, etag: null, files: [] };
    const files = await contents(app, before.paths, fetch);
    const after = await active(app, fetch);
    if (files !== null && after?.etag === before.etag)
      return { release: before.number, etag: before.etag, files };
    if (attempt === 5) throw new Error('the app is deployed faster than its files can be read');
  }
}

/** The text of one file of the active release; `null` if there is none, or it is no text. */
export async function activeText(
  app: string,
  path: string,
  fetch?: typeof globalThis.fetch,
): Promise<string | null> {
  const raw = await bytes(app, path, fetch);
  const found = raw === null ? null : content(raw);
  return typeof found === 'string' ? found : null;
}

async function active(app: string, fetch?: typeof globalThis.fetch) {
  let etag = '';
  const call = api(fetch)
    .GET('/apps/{app}/releases/active', { params: { path: { app } } })
    .then((answer) => {
      etag = answer.response.headers.get('etag') ?? '';
      return answer;
    });
  const release = await find(call);
  return release && { ...release, etag };
}

/** `null` if one of them is not there any more. */
async function contents(
  app: string,
  paths: { path: string; hash: string }[],
  fetch?: typeof globalThis.fetch,
): Promise<Original[] | null> {
  const files: Original[] = [];
  const waiting = [...paths];
  let gone = false;
  const work = async () => {
    for (let next = waiting.shift(); next && !gone; next = waiting.shift()) {
      const raw = await bytes(app, next.path, fetch);
      if (raw === null) gone = true;
      else files.push({ path: next.path, hash: next.hash, content: content(raw) });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return gone ? null : files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function bytes(
  app: string,
  path: string,
  fetch?: typeof globalThis.fetch,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const call = api(fetch).GET('/apps/{app}/scripts/{path}', {
    params: { path: { app, path } },
    // The path's slashes are the address's own.
    pathSerializer: (pattern: string) =>
      pattern
        .replace('{app}', encodeURIComponent(app))
        .replace('{path}', path.split('/').map(encodeURIComponent).join('/')),
    parseAs: 'arrayBuffer',
  });
  const found = await find(call);
  return found === null ? null : new Uint8Array(found);
}
