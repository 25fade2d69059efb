/**
 * What a server says of files that are not deployed. The API's description does
 * not tell of these yet; they become typed calls, and this file goes, when it does.
 */
import { api, ask, find, type Schemas } from '.';
import { tar, type File } from '$lib/tar';

export interface Diagnostic {
  severity: 'error' | 'warning';
  code?: string;
  message: string;
  file?: string;
  /** From 1, as is `column`, in characters. */
  line?: number;
  column?: number;
  excerpt?: string;
  /** The path of the page about the code. */
  help?: string;
}

type Answer = Promise<{ data?: unknown; error?: unknown; response: Response }>;
const client = () =>
  api() as unknown as { POST: (path: string, init: Record<string, unknown>) => Answer };
const headers = { 'content-type': 'application/gzip' };

/** What a deploy of the files would say; `null` from a server that cannot tell. */
export async function check(app: string, files: File[]): Promise<Diagnostic[] | null> {
  const body = tar(files);
  const call = client().POST('/apps/{app}/check', { params: { path: { app } }, body, headers });
  const found = (await find(call)) as { diagnostics: Diagnostic[] } | null;
  return found?.diagnostics ?? null;
}

/** Makes a release that does not become the active one; its number. */
export async function keepDraft(app: string, files: File[]): Promise<number> {
  const query = { activate: false, note: 'draft of the editor' };
  const init = { params: { path: { app }, query }, body: tar(files), headers };
  const made = (await ask(client().POST('/apps/{app}/releases', init))) as { release: number };
  return made.release;
}

/** Sends a request to a release, by default to the active one. */
export async function invoke(
  app: string,
  asked: Schemas['InvokeRequest'],
  release: number | null,
): Promise<Schemas['InvokeResponse']> {
  const body = release === null ? asked : { ...asked, release };
  const call = client().POST('/apps/{app}/invoke', { params: { path: { app } }, body });
  return (await ask(call)) as Schemas['InvokeResponse'];
}
