/** The pictures in the README: `docs/images/`, of an app that has run for a while. */
import type { Page } from '@playwright/test';
import { visit } from './apps';
import type { PiCloud } from './server';
import { seed } from './seed';
import { enter, expect, test } from './test';

const FOR_MS = Number(process.env.IMAGES_MINUTES ?? 15) * 60_000;
const PATHS = ['/', '/', '/', '/total/eur', '/total/eur', '/total/gbp'];

test('pictures for the README', async ({ page, picloud }) => {
  await enter(page, picloud);
  await seed(page, picloud, 'shop');
  await run(page, picloud);

  await page.goto('/apps/shop?range=1h');
  await expect(page.getByRole('heading', { name: 'Time to answer' })).toBeVisible();
  await shoot(page, 'overview');

  await page.goto('/apps/shop/executions?outcome=failed');
  await page.getByRole('link', { name: 'GET /total/none' }).first().click();
  await expect(page.getByText('no rate for none').first()).toBeVisible();
  await shoot(page, 'execution');

  await page.goto('/apps/shop/editor');
  await page.getByTitle('total/[currency].rhai', { exact: true }).click();
  const code = page.getByRole('textbox', { name: 'total/[currency].rhai', exact: true });
  await expect(code).toContainText('RATES');
  await page.getByLabel('Path', { exact: true }).fill('/total/gbp');
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(page.getByLabel('Body of the answer')).toContainText('261');
  await shoot(page, 'editor');
});

/** Visitors, as they come: more of them now and then, and some who ask for what is not there. */
async function run(page: Page, picloud: PiCloud): Promise<void> {
  const end = Date.now() + FOR_MS;
  for (let n = 0; Date.now() < end; n++) {
    await visit(
      page,
      picloud,
      'shop',
      n % 23 === 7 ? '/total/none' : (PATHS[n % PATHS.length] ?? '/'),
    );
    const wave = 1.2 + Math.sin(Date.now() / 90_000);
    await new Promise((done) => setTimeout(done, 400 + 2_400 * wave * Math.random()));
  }
}

async function shoot(page: Page, name: string): Promise<void> {
  await page.waitForLoadState('networkidle');
  await page.screenshot({ path: `../docs/images/${name}.png` });
}
