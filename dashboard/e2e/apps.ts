/** Apps for tests, made by the API with the login that the page has. */
import type { Page } from '@playwright/test';
import { tar, type File } from '../src/lib/tar';
import type { PiCloud } from './server';

/** Deploys the files; the release's number. */
export async function deploy(
  page: Page,
  picloud: PiCloud,
  app: string,
  files: Record<string, File['content']>,
  note = 'by hand',
): Promise<number> {
  const list: File[] = Object.entries(files).map(([path, content]) => ({ path, content }));
  const answer = await page.request.post(
    `/api/v1/apps/${app}/releases?note=${encodeURIComponent(note)}`,
    {
      headers: { origin: picloud.url, 'content-type': 'application/gzip' },
      data: Buffer.from(await tar(list).arrayBuffer()),
    },
  );
  if (!answer.ok()) throw new Error(await answer.text());
  return ((await answer.json()) as { release: number }).release;
}

/** Sends the app a request as a visitor would. */
export async function visit(
  page: Page,
  picloud: PiCloud,
  app: string,
  path: string,
  method = 'GET',
): Promise<void> {
  const answer = await page.request.post(`/api/v1/apps/${app}/invoke`, {
    headers: { origin: picloud.url },
    data: { path, method },
  });
  if (!answer.ok()) throw new Error(await answer.text());
}
