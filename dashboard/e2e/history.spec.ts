import { deploy, visit } from './apps';
import { checkPage, enter, expect, test } from './test';

const OK = 'fn get(req) {\n    log::info("seen", #{ path: req.path });\n    "fine"\n}\n';
const FAILING =
  'fn get(req) {\n    log::warn("about to fail");\n    let x = 1;\n    throw "no pears left";\n}\n';

test('a release is looked at, and rolled back to', async ({ page, picloud }) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'history', { 'index.rhai': OK }, 'the first');
  await deploy(page, picloud, 'history', { 'index.rhai': OK.replace('fine', 'finer') }, 'better');
  await page.goto('/apps/history/releases');
  await expect(page.getByRole('row', { name: /the first/ })).toBeVisible();
  await checkPage(page);
  await page.getByRole('link', { name: '1', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Release 1' })).toBeVisible();
  await expect(page.getByRole('cell', { name: '"fine"' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Preview' })).toHaveAttribute(
    'href',
    /\/\/r1--history\./,
  );
  await checkPage(page);
  await page.getByRole('button', { name: 'index.rhai' }).click();
  await expect(page.getByRole('dialog', { name: 'index.rhai' })).toContainText('log::info');
  await checkPage(page);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Roll back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
  await expect(page.getByText('active', { exact: true })).toBeVisible();
  await deploy(page, picloud, 'history', { 'index.rhai': OK }, 'the third');
  await page.goto('/apps/history/releases/2');
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Delete the release' }).click();
  await expect(page.getByText('Release 2 is deleted')).toBeVisible();
  await expect(page.getByRole('row', { name: /better/ })).toBeHidden();
});

test('lines of the log come while one looks', async ({ page, picloud }) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'talking', { 'index.rhai': OK, 'fail.rhai': FAILING });
  await page.goto('/apps/talking/logs');
  await expect(page.getByRole('heading', { name: 'No lines yet' })).toBeVisible();
  await checkPage(page);
  await visit(page, picloud, 'talking', '/?a');
  const lines = page.getByRole('log');
  await expect(lines.getByText('seen')).toHaveCount(1);
  await page.getByRole('button', { name: 'Pause' }).click();
  await visit(page, picloud, 'talking', '/fail');
  const goOn = page.getByRole('button', { name: /Go on \(\d+ new\)/ });
  await expect(goOn).toBeVisible();
  await expect(lines.getByText('about to fail')).toHaveCount(0);
  await goOn.click();
  await expect(lines.getByText('about to fail')).toHaveCount(1);
  await checkPage(page);
  await page.getByLabel('Least important level').selectOption('warn');
  await expect(lines.getByText('seen')).toHaveCount(0);
  await expect(page).toHaveURL(/level=warn/);
  await page.getByLabel('Text in the shown lines').fill('nothing like it');
  await expect(lines.getByText('None of these lines')).toBeVisible();
});

test('a failure is found, and shown where it is', async ({ page, picloud }) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'failing', { 'index.rhai': OK, 'fail.rhai': FAILING });
  await page.goto('/apps/failing/executions');
  await expect(page.getByRole('heading', { name: 'Nothing has run yet' })).toBeVisible();
  await checkPage(page);
  await visit(page, picloud, 'failing', '/');
  await visit(page, picloud, 'failing', '/fail');
  // They come by themselves.
  await expect(page.getByRole('link', { name: 'GET /fail' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'GET /', exact: true })).toBeVisible();
  await page.getByLabel('Outcome').selectOption('failed');
  await expect(page.getByRole('link', { name: 'GET /', exact: true })).toBeHidden();
  await checkPage(page);
  await page.getByRole('link', { name: 'GET /fail' }).click();
  await expect(page.getByText('no pears left').first()).toBeVisible();
  await expect(page.getByRole('region', { name: 'The source around line 4' })).toContainText(
    'throw "no pears left"',
  );
  await expect(page.getByText('about to fail', { exact: true })).toBeVisible();
  await expect(page.getByText('Fuel', { exact: true })).toBeVisible();
  await checkPage(page);
  await page.getByRole('link', { name: /^fail\.rhai:4/ }).click();
  await expect(page.getByRole('textbox', { name: 'fail.rhai' })).toContainText('no pears left');
});
