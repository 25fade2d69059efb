/** The pages of those who run the server. */
import { deploy, visit } from './apps';
import { checkPage, enter, expect, NAME, test } from './test';

test.use({ server: 'admin' });

test.beforeEach(async ({ page, picloud }) => {
  await enter(page, picloud);
});

test('somebody is invited, gets limits and a new password, and is deleted', async ({
  page,
  browser,
  picloud,
}) => {
  await page.goto('/admin/invites');
  await expect(page.getByRole('heading', { name: 'No links are out' })).toBeVisible();
  await checkPage(page);
  await page.getByRole('button', { name: 'Invite' }).click();
  await checkPage(page);
  await page.getByRole('button', { name: 'Make the link' }).click();
  const link = await page.getByRole('group', { name: 'The link' }).innerText();
  expect(link).toMatch(/^http:\/\/localhost:\d+\/join#[0-9a-f]+$/);
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(page.getByRole('cell', { name: 'A new member', exact: true })).toBeVisible();
  await checkPage(page);

  const theirs = await browser.newContext({ baseURL: picloud.url });
  const bert = await theirs.newPage();
  await bert.goto(link);
  await bert.getByLabel('Name').fill('bert');
  await bert.getByLabel('Password').fill('walnut and hazel');
  await bert.getByRole('button', { name: 'Make the account' }).click();
  await expect(bert.getByRole('heading', { name: 'Make your first app' })).toBeVisible();
  await expect(bert.getByRole('link', { name: 'All apps' })).toBeHidden();
  await bert.goto('/admin/users');
  await expect(bert.getByRole('heading', { name: 'That did not work' })).toBeVisible();

  await page.goto('/admin/users');
  await checkPage(page);
  await page.getByRole('link', { name: 'bert', exact: true }).click();
  await expect(page).toHaveURL('/admin/users/bert');
  const apps = page.getByLabel('Apps');
  await apps.fill('many');
  await expect(page.getByRole('button', { name: 'Set the limits' })).toBeDisabled();
  await apps.fill('1');
  await page.getByRole('button', { name: 'Set the limits' }).click();
  await expect(page.getByText('The limits of bert are set')).toBeVisible();
  await page.reload();
  await expect(apps).toHaveValue('1');
  await checkPage(page);

  await page.getByRole('button', { name: 'Make an admin' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Make an admin' }).click();
  await expect(page.getByRole('main').getByText('admin', { exact: true })).toBeVisible();
  await bert.goto('/admin/users');
  await expect(bert.getByRole('link', { name: 'bert', exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Make a member' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Make a member' }).click();
  await expect(page.getByRole('main').getByText('member', { exact: true })).toBeVisible();

  await page.getByRole('button', { name: 'Reset link' }).click();
  await page.getByRole('button', { name: 'Make the link' }).click();
  const reset = await page.getByRole('group', { name: 'The link' }).innerText();
  await page.getByRole('button', { name: 'Done' }).click();
  await page.goto('/admin/invites');
  await page.getByRole('button', { name: 'Revoke: A new password for bert' }).click();
  await page.getByRole('button', { name: 'Revoke the link' }).click();
  await expect(page.getByRole('heading', { name: 'No links are out' })).toBeVisible();
  await bert.goto(reset);
  await expect(bert.getByRole('heading', { name: 'This link does not work' })).toBeVisible();

  await page.goto('/admin/users/bert');
  await page.getByRole('button', { name: 'Delete bert' }).click();
  await page.getByLabel('Type bert to confirm').fill('bert');
  await page.getByRole('button', { name: 'Delete the account' }).click();
  await expect(page).toHaveURL('/admin/users');
  await expect(page.getByRole('link', { name: NAME, exact: true })).toBeVisible();
  await expect(page.getByRole('link', { name: 'bert', exact: true })).toBeHidden();
  await bert.goto('/');
  await expect(bert).toHaveURL(/\/login/);
  await theirs.close();
});

test('all apps are listed with whose they are', async ({ page, picloud }) => {
  await deploy(page, picloud, 'watched', { 'index.rhai': 'fn get(req) { "fine" }\n' });
  await visit(page, picloud, 'watched', '/');
  await page.goto('/admin/apps');
  const row = page.getByRole('row', { name: /watched/ });
  await expect(row.getByRole('link', { name: NAME })).toBeVisible();
  await checkPage(page);
  await row.getByRole('link', { name: 'watched' }).click();
  await expect(page).toHaveURL('/apps/watched');
});

test('the audit log is narrowed by an address', async ({ page, picloud }) => {
  await deploy(page, picloud, 'audited', { 'index.rhai': '1\n' });
  await page.goto('/admin/audit');
  await expect(page.getByRole('cell', { name: '/apps/audited/releases' })).toBeVisible();
  await checkPage(page);
  await page.getByLabel('What', { exact: true }).selectOption('log_in');
  await expect(page).toHaveURL('/admin/audit?what=log_in');
  await expect(page.getByRole('cell', { name: '/apps/audited/releases' })).toBeHidden();
  await page.reload();
  await expect(page.getByRole('cell', { name: '/apps/audited/releases' })).toBeHidden();
  await page.getByLabel('Find in what is shown').fill('nothing like it');
  await expect(page.getByText('No change is like that.')).toBeVisible();
  await checkPage(page);
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect(page.getByRole('cell', { name: '/apps/audited/releases' })).toBeVisible();
});

test('the server says how it is', async ({ page }) => {
  await page.goto('/admin/health');
  await expect(page.getByText('ready', { exact: true })).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Since the start' })).toBeVisible();
  await expect(page.getByText('Runs that ended')).toBeVisible();
  await checkPage(page);
});

test('a backup is fetched whole', async ({ page }) => {
  await page.goto('/admin/backup');
  await checkPage(page);
  const coming = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download a backup' }).click();
  const download = await coming;
  expect(download.suggestedFilename()).toMatch(/^picloud-.*\.backup$/);
  await expect(page.getByText(/The backup is whole/)).toBeVisible();
});
