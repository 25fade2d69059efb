import { deploy, visit } from './apps';
import { seed } from './seed';
import { checkPage, enter, expect, test } from './test';

const FAILING =
  'fn get(req) {\n  if req.query.fail != () { throw "no pears left"; }\n  "fine"\n}\n';

test.use({ server: 'overview' });

test('what an app does lately is counted, and what fails is found', async ({ page, picloud }) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'lately', { 'index.rhai': FAILING });
  await page.goto('/apps/lately');
  await expect(page.getByText('No run has failed')).toBeVisible();
  await checkPage(page);
  for (const path of ['/', '/', '/', '/?fail']) await visit(page, picloud, 'lately', path);
  // It looks again by itself.
  await expect(page.getByRole('definition').filter({ hasText: /^4$/ })).toBeVisible();
  await expect(page.getByText('25 % of them')).toBeVisible();
  await checkPage(page);
  for (const range of ['1 hour', '7 days']) {
    await page.getByRole('link', { name: range }).click();
    await expect(page.getByRole('link', { name: range })).toHaveAttribute('aria-current', 'page');
    await expect(page.getByRole('definition').filter({ hasText: /^4$/ })).toBeVisible();
  }
  await page.getByRole('link', { name: 'no pears left' }).click();
  await expect(page.getByRole('heading', { name: 'GET /', exact: true })).toBeVisible();
  await page.goto('/');
  const card = page.getByRole('listitem').filter({ hasText: 'lately' });
  await expect(card.getByText('4 requests in 24 h')).toBeVisible();
  await expect(card.getByText('1 failed')).toBeVisible();
});

test('what to look into leads to where it is', async ({ page, picloud }) => {
  await enter(page, picloud);
  await seed(page, picloud, 'troubled');
  await page.goto('/apps/troubled');
  const notes = page.getByRole('list', { name: 'To look into' });
  await expect(notes.getByText('troubled.example.org is not verified yet')).toBeVisible();
  await expect(page.getByText('paused', { exact: true })).toBeVisible();
  await checkPage(page);
  await notes.getByRole('link', { name: 'Dead letters' }).click();
  await expect(page).toHaveURL('/apps/troubled/dead-letters');
});

test('who comes back to the lower part is where they were', async ({ page, picloud }) => {
  await enter(page, picloud);
  await seed(page, picloud, 'tall');
  await page.goto('/apps/tall');
  const runs = page.getByRole('table', { name: 'Latest executions' }).getByRole('link');
  await runs.last().scrollIntoViewIfNeeded();
  const place = await page.evaluate(() => scrollY);
  expect(place).toBeGreaterThan(0);
  await runs.last().click();
  await expect(page).toHaveURL(/executions\/./);
  await page.goBack();
  await expect(runs.last()).toBeInViewport();
  expect(await page.evaluate(() => scrollY)).toBe(place);
});

test('a lower part that cannot be read says so, and is there when tried again', async ({
  page,
  picloud,
}) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'halved', { 'index.rhai': FAILING });
  const schedules = '**/api/v1/apps/halved/schedules';
  await page.route(schedules, (route) => route.abort());
  await page.goto('/apps/halved');
  const alert = page.getByRole('alert');
  await expect(alert).toBeVisible();
  await expect(page.getByRole('heading', { name: 'halved' })).toBeVisible();
  await checkPage(page);
  await page.unroute(schedules);
  await alert.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByText('Nothing runs by the clock')).toBeVisible();
  await expect(alert).toBeHidden();
});
