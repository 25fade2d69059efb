/** What every end-to-end test begins from: a server, and a page that may break no rule. */
import AxeBuilder from '@axe-core/playwright';
import { test as base, expect, type Page } from '@playwright/test';
import { start, type PiCloud } from './server';

export { expect } from '@playwright/test';
export const NAME = 'anna';
export const PASSWORD = 'plum pear quince';

export const test = base.extend<{ strict: void }, { server: string; picloud: PiCloud }>({
  // Files share a server; one that needs a new one for itself names it otherwise.
  server: ['shared', { option: true, scope: 'worker' }],
  picloud: [
    async ({ server }, use) => {
      void server;
      const picloud = await start();
      await use(picloud);
      await picloud.stop();
    },
    { scope: 'worker', timeout: 150_000 },
  ],
  baseURL: async ({ picloud }, use) => use(picloud.url),
  // A page that the policy refuses something, or that throws, fails its test.
  strict: [
    async ({ page }, use) => {
      const wrong: string[] = [];
      page.on('pageerror', (error) => wrong.push(error.message));
      page.on('console', (message) => {
        // What the API refuses is shown to people, and the browser notes it, too.
        const refused = message.text().startsWith('Failed to load resource');
        if (message.type() === 'error' && !refused) wrong.push(message.text());
      });
      await use();
      expect(wrong).toEqual([]);
    },
    { auto: true },
  ],
});

/** Makes the first account, or logs in where it is made already. */
export async function enter(page: Page, picloud: PiCloud): Promise<void> {
  const found = await page.request.post(`${picloud.url}/api/v1/invites/find`, {
    data: { secret: picloud.setup },
  });
  if (found.ok()) {
    await page.goto(`/join#${picloud.setup}`);
    await page.getByLabel('Name').fill(NAME);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Make the account' }).click();
  } else {
    await page.goto('/login');
    await page.getByLabel('Name').fill(NAME);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
  }
  await expect(page.getByRole('heading', { name: 'Apps' })).toBeVisible();
}

/** That the page as it is has nothing that axe finds wrong, in either theme or in those that are named. */
export async function checkPage(
  page: Page,
  themes: readonly ('light' | 'dark')[] = ['light', 'dark'],
): Promise<void> {
  for (const colorScheme of themes) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await expect(page.locator('html')).toHaveAttribute('data-theme', colorScheme);
    // Colours that are on their way to another theme are neither one's.
    await page.evaluate(() => {
      for (const each of document.getAnimations()) {
        // The cursor of the editor blinks for ever.
        if (each.effect?.getComputedTiming().endTime !== Infinity) each.finish();
      }
    });
    const { violations } = await new AxeBuilder({ page }).analyze();
    const found = violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`,
    );
    expect(found, `${page.url()} ${colorScheme}`).toEqual([]);
  }
}
