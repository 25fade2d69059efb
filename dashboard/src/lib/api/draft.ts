/** What a server says of files that are not deployed. */
import { api, ask, type Schemas } from '.';
import { tar, type File } from '$lib/tar';

const headers = { 'content-type': 'application/gzip' };

/** What a deploy of the files would say. */
export async function check(app: string, files: File[]): Promise<Schemas['Diagnostic'][]> {
  const call = api().POST('/apps/{app}/check', {
    params: { path: { app } },
    body: tar(files),
    headers,
  });
  return (await ask(call)).diagnostics;
}

/** Makes a release that does not become the active one; its number. */
export async function keepDraft(app: string, files: File[]): Promise<number> {
  const query = { activate: false, note: 'draft of the editor' };
  const call = api().POST('/apps/{app}/releases', {
    params: { path: { app }, query },
    body: tar(files),
    headers,
  });
  return (await ask(call)).release;
}

/** Sends a request to a release, by default to the active one. */
export async function invoke(
  app: string,
  asked: Schemas['InvokeRequest'],
  release: number | null,
): Promise<Schemas['InvokeResponse']> {
  const params = { path: { app } };
  const call = api().POST('/apps/{app}/invoke', { params, body: { ...asked, release } });
  // The client forgets that a header is a pair.
  return (await ask(call)) as Schemas['InvokeResponse'];
}
