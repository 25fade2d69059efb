/** Pictures of every page, for people to look at: `.shots/<page>-<width>-<theme>.png`. */
import type { Page } from '@playwright/test';
import { address, PATTERNS } from './addresses';
import { visit } from './apps';
import { seed } from './seed';
import { enter, expect, test } from './test';

const WIDTHS = [1280, 390];
const THEMES = ['light', 'dark'] as const;

test('pictures of every page', async ({ page, picloud, browser }) => {
  const outside = await browser.newContext({ baseURL: picloud.url });
  const stranger = await outside.newPage();
  for (const [name, path] of [
    ['join', `/join#${picloud.setup}`],
    ['login', '/login'],
  ] as const) {
    await stranger.goto(path);
    await shoot(stranger, name);
  }
  await enter(page, picloud);
  await shoot(page, 'empty');
  await seed(page, picloud, 'shop');
  for (const [template, app] of [
    ['Guestbook', 'guestbook'],
    ['Event pipeline', 'orders'],
  ] as const) {
    await page.goto('/new');
    await page.getByText(template, { exact: true }).click();
    await page.getByLabel('Name').fill(app);
    await page.getByRole('button', { name: 'Make and deploy' }).click();
    await expect(page).toHaveURL(`/apps/${app}`);
  }
  const headers = { origin: picloud.url };
  await page.request.put('/api/v1/apps/draft', { headers });
  await page.request.post('/api/v1/invites', { headers, data: { role: 'member' } });
  const token = { name: 'ci', scope: 'deploy', app: 'guestbook' };
  await page.request.post('/api/v1/tokens', { headers, data: token });
  for (let time = 0; time < 12; time++) await visit(page, picloud, 'guestbook', '/');
  for (const path of ['/', '/', '/', '/total/eur', '/total/none'])
    await visit(page, picloud, 'shop', path);
  for (const pattern of PATTERNS) {
    await page.goto(await address(page, pattern, 'shop'));
    await shoot(
      page,
      pattern === '/' ? 'apps' : pattern.slice(1).replaceAll(/[[\]]/g, '').replaceAll('/', '-'),
    );
  }
  for (const [name, path] of [
    ['app-without-release', '/apps/draft'],
    ['nowhere', '/apps/nowhere'],
    ['empty-kv', '/apps/draft/kv'],
    ['empty-schedules', '/apps/draft/schedules'],
    ['empty-events', '/apps/draft/events'],
  ] as const) {
    await page.goto(path);
    await shoot(page, name);
  }
  const open = page.locator('dialog[open]');
  for (const [name, path, button] of [
    ['dialog-token', '/tokens', 'New token'],
    ['dialog-revoke', '/tokens', 'Revoke ci'],
    ['dialog-entry', '/apps/shop/kv/orders', 'New entry'],
    ['dialog-publish', '/apps/shop/events', 'Publish'],
    ['dialog-letter', '/apps/shop/dead-letters', 'jobs/mail.rhai'],
    ['dialog-delete', '/apps/shop/settings', 'Delete shop'],
    ['palette', '/apps/shop/settings', 'Search Ctrl K'],
  ] as const) {
    await page.setViewportSize({ width: 1280, height: 860 });
    await page.goto(path);
    await page
      .getByRole('button', { name: button })
      .or(page.getByRole('link', { name: button }))
      .first()
      .click();
    await expect(open).toBeVisible();
    await shoot(page, name);
  }
  await page.goto('/apps/shop');
  await page.getByRole('button', { name: 'Navigation' }).click();
  await shoot(page, 'drawer');
});

async function shoot(page: Page, name: string): Promise<void> {
  await page.waitForLoadState('networkidle');
  for (const width of WIDTHS) {
    for (const colorScheme of THEMES) {
      await page.setViewportSize({ width, height: width < 600 ? 844 : 860 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      // The page hears of it a little later.
      await expect(page.locator('html')).toHaveAttribute('data-theme', colorScheme);
      await page.screenshot({
        path: `.shots/${name}-${width}-${colorScheme}.png`,
        fullPage: true,
        animations: 'disabled',
      });
    }
  }
}
