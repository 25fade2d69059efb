/** Every page with something on it, in both themes and as wide as a phone. */
import { address, PATTERNS } from './addresses';
import { visit } from './apps';
import { seed } from './seed';
import { checkPage, enter, expect, test } from './test';

const APP = 'everything';
const PHONE = { width: 390, height: 844 };

test.use({ server: 'pages' });

test.beforeEach(async ({ page, picloud }) => {
  await enter(page, picloud);
  const made = await page.request.get(`/api/v1/apps/${APP}`);
  if (made.ok()) return;
  await seed(page, picloud, APP);
  await visit(page, picloud, APP, '/');
  await visit(page, picloud, APP, '/total/none');
});

for (const pattern of PATTERNS) {
  test(`${pattern} is for everybody`, async ({ page }) => {
    await page.goto(await address(page, pattern, APP));
    await expect(page.getByRole('heading').first()).toBeVisible();
    await checkPage(page);
    await page.setViewportSize(PHONE);
    await checkPage(page, ['light']);
    const wider = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(wider, 'pixels by which the page is wider than a phone').toBeLessThanOrEqual(0);
  });
}
