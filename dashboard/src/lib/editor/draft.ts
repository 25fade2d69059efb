/**
 * A draft: what somebody has changed on top of the active release. It is kept by
 * the browser, as changes and not as files, so that it stays small and can be put
 * on top of a release that was activated meanwhile. It is found by its writer
 * alone, and goes when they log out: others may use the browser after them.
 */
import { bytes as size } from '$lib/format';
import { fits, type File } from '$lib/tar';

export type Content = File['content'];

/** Bytes that the files of a release may have together, as the server has it. */
export const MAX_RELEASE_BYTES = 10 * 1024 * 1024;

/** A file that is not, or no longer, as the release has it. */
interface Edit {
  /** The new contents; `null` for a file that is deleted. Bytes are in base64. */
  to: { text: string } | { base64: string } | null;
  /** SHA-256 of what it was made from; `null` for a file that was not there. */
  from: string | null;
}

export interface Draft {
  version: 1;
  /** The release that was active when it was begun or last put on top of one; 0 for none. */
  base: number;
  edits: Record<string, Edit>;
}

/** A file of the active release. */
export interface Original {
  path: string;
  hash: string;
  content: Content;
}

export type Storage = Pick<
  globalThis.Storage,
  'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'
>;

/** Whose draft, and of which app. Neither name has a colon. */
export interface Of {
  user: string;
  app: string;
}

const prefix = (user: string) => `draft:${user}:`;
const key = ({ user, app }: Of) => prefix(user) + app;

/** The draft, `null` if there is none that can be read. */
export function load(of: Of, storage: Storage = localStorage): Draft | null {
  const text = storage.getItem(key(of));
  if (text === null) return null;
  try {
    const draft = JSON.parse(text) as Draft;
    return draft.version === 1 && typeof draft.edits === 'object' ? draft : null;
  } catch {
    return null;
  }
}

/** Keeps the draft, or forgets it when it changes nothing. Throws if the browser has no room. */
export function save(of: Of, draft: Draft, storage: Storage = localStorage): void {
  if (Object.keys(draft.edits).length === 0) storage.removeItem(key(of));
  else storage.setItem(key(of), JSON.stringify(draft));
}

/** The apps of which the user has drafts here, in the order of their names. */
export function drafted(user: string, storage: Storage = localStorage): string[] {
  return Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? '')
    .filter((name) => name.startsWith(prefix(user)))
    .map((name) => name.slice(prefix(user).length))
    .sort();
}

/** Forgets the user's drafts of these apps. */
export function discard(user: string, apps: string[], storage: Storage = localStorage): void {
  for (const app of apps) storage.removeItem(key({ user, app }));
}

/** The files as the draft has them, in the order of their paths. */
export function apply(originals: Original[], draft: Draft | null): File[] {
  const files = new Map<string, Content>(originals.map(({ path, content }) => [path, content]));
  for (const [path, { to }] of Object.entries(draft?.edits ?? {})) {
    if (to === null) files.delete(path);
    else files.set(path, 'text' in to ? to.text : bytes(to.base64));
  }
  return [...files]
    .map(([path, content]) => ({ path, content }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * What makes the originals into these files. Of a file that an earlier draft had
 * changed it is still known from what.
 */
export function edits(originals: Original[], files: File[], earlier: Draft | null): Draft['edits'] {
  const before = new Map(originals.map((each) => [each.path, each]));
  const after = new Set(files.map(({ path }) => path));
  const found: Draft['edits'] = {};
  const from = (path: string) => {
    const edit = earlier?.edits[path];
    return edit ? edit.from : (before.get(path)?.hash ?? null);
  };
  for (const { path, content } of files) {
    const original = before.get(path);
    if (original && same(original.content, content)) continue;
    const to = typeof content === 'string' ? { text: content } : { base64: base64(content) };
    found[path] = { to, from: from(path) };
  }
  for (const { path } of originals) {
    if (!after.has(path)) found[path] = { to: null, from: from(path) };
  }
  return found;
}

/** The files that both the draft and a release since have changed. */
export function conflicts(originals: Original[], draft: Draft): string[] {
  const now = new Map(originals.map(({ path, hash }) => [path, hash]));
  return Object.entries(draft.edits)
    .filter(([path, { from }]) => (now.get(path) ?? null) !== from)
    .map(([path]) => path);
}

export function same(a: Content, b: Content): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b;
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** The bytes as text if they are UTF-8 without NUL, or else as they are. */
export function content(raw: Uint8Array<ArrayBuffer>): Content {
  if (raw.includes(0)) return raw;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    return raw;
  }
}

/** What is wrong with a path, in a sentence; `null` if nothing is. */
export function pathMistake(path: string, taken: string[]): string | null {
  if (path === '') return null;
  if (path.startsWith('/') || path.endsWith('/') || path.includes('//'))
    return 'Folders and files are separated by single slashes, with none at the ends.';
  if (path.split('/').some((part) => part === '.' || part === '..'))
    return 'A path has no . or .. in it.';
  // eslint-disable-next-line no-control-regex
  if (/[\\\u0000-\u001f\u007f]/.test(path))
    return 'Backslashes and control characters cannot be in a path.';
  if (!fits(path)) return "A file's name has at most 100 bytes, and its folders 155.";
  if (taken.includes(path)) return 'There is a file with this path.';
  if (taken.some((other) => other.startsWith(`${path}/`)))
    return 'There is a folder with this path.';
  if (taken.some((other) => path.startsWith(`${other}/`)))
    return 'A file is where the folder would be.';
  return null;
}

/**
 * Why a file of so many bytes cannot be put among the files, and what to do then;
 * `null` if it can. It takes the place of one of the same path.
 */
export function uploadMistake(path: string, length: number, files: File[]): string | null {
  const others = files.filter((file) => file.path !== path);
  const taken = others.map((file) => file.path);
  const mistake = pathMistake(path, taken);
  if (mistake !== null) return `${mistake} Give it another name, then upload it again.`;
  const all = others.reduce((sum, { content }) => sum + lengthOf(content), length);
  if (all <= MAX_RELEASE_BYTES) return null;
  return `With it the app would have ${size(all)}, and may have ${size(MAX_RELEASE_BYTES)}. Make it smaller, or have the app's scripts get it from a bucket.`;
}

function lengthOf(content: Content): number {
  return typeof content === 'string' ? new TextEncoder().encode(content).length : content.length;
}

function base64(raw: Uint8Array): string {
  let text = '';
  for (const byte of raw) text += String.fromCharCode(byte);
  return btoa(text);
}

function bytes(encoded: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
}
