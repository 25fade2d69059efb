/** Every page that there is, with an address at which it has something to show. */
import { readdirSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { NAME } from './test';

/** The pages for those who are logged in, by their folders: `/apps/[app]/kv`. */
export const PATTERNS = readdirSync('src/routes/(in)', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('+page.svelte'))
  .map((file) => `/${file}`.replace(/\/\+page\.svelte$/, '') || '/')
  .sort();

/** The page's address, of an app that has something of everything. */
export async function address(page: Page, pattern: string, app: string): Promise<string> {
  const newest = async (list: string): Promise<string> => {
    const answer = await page.request.get(`/api/v1/apps/${app}/${list}`);
    const { items } = (await answer.json()) as { items: { id: string }[] };
    const id = items[0]?.id;
    if (id === undefined) throw new Error(`${app} has no ${list}`);
    return id;
  };
  const ends: Record<string, () => Promise<string>> = {
    '/admin/users/[user]': async () => NAME,
    '/apps/[app]/releases/[number]': async () => '1',
    '/apps/[app]/kv/[collection]': async () => 'orders',
    '/apps/[app]/executions/[id]': () => newest('executions?outcome=failed'),
    '/apps/[app]/events/[id]': () => newest('events'),
  };
  const end = ends[pattern];
  const path = pattern.replace('[app]', app);
  if (!path.includes('[')) return path;
  if (end === undefined) throw new Error(`${pattern} has no address in e2e/addresses.ts`);
  return path.replace(/\[\w+\]$/, await end());
}
