/** The pages of an app's data, events, secrets and people. */
import { seed } from './seed';
import { checkPage, enter, expect, test } from './test';

const APP = 'shop';

test.describe.configure({ mode: 'serial' });

test.beforeEach(async ({ page, picloud }) => {
  await enter(page, picloud);
});

test('entries are found, changed by two, and deleted', async ({ page, picloud }) => {
  await seed(page, picloud, APP);
  await page.goto(`/apps/${APP}/kv`);
  await checkPage(page);
  await page.getByRole('main').getByRole('link', { name: 'customers' }).click();
  await page.getByRole('searchbox').fill('bo');
  await expect(page.getByRole('link', { name: 'ann', exact: true })).toBeHidden();
  await expect(page).toHaveURL(`/apps/${APP}/kv/customers?prefix=bo`);
  await checkPage(page);

  await page.getByRole('link', { name: 'bob', exact: true }).click();
  const value = page.getByLabel('Value (JSON)');
  await expect(value).toHaveValue(/"Bob"/);
  await checkPage(page);
  await value.fill('{ "name": ');
  await expect(page.getByText('That is not JSON yet')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Save' })).toBeDisabled();
  await value.fill('{ "id": 9007199254740993 }');

  const entry = `/api/v1/apps/${APP}/kv/customers/bob`;
  const headers = { origin: picloud.url };
  await page.request.put(entry, { headers, data: '"theirs"' });
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert')).toContainText('"theirs"');
  expect(await (await page.request.get(entry)).text()).toContain('"theirs"');
  await page.getByRole('button', { name: 'Save over it' }).click();
  await expect(page.getByRole('dialog')).toBeHidden();
  // An integer that JavaScript cannot have came through as it was written.
  expect(await (await page.request.get(entry)).text()).toContain('9007199254740993');

  await page.getByRole('button', { name: 'Delete bob' }).click();
  await page.getByRole('button', { name: 'Delete the entry' }).click();
  await expect(page.getByRole('heading', { name: 'No such key' })).toBeVisible();
  await checkPage(page);
});

test('an entry is made, and ends', async ({ page }) => {
  await page.goto(`/apps/${APP}/kv`);
  await page.getByRole('button', { name: 'New entry' }).click();
  await page.getByLabel('Collection').fill('notes');
  await page.getByLabel('Key', { exact: true }).fill('a/b c');
  await page.getByLabel('Value (JSON)').fill('true');
  await page.getByLabel('Expires').selectOption({ label: 'in an hour' });
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page).toHaveURL(`/apps/${APP}/kv/notes`);
  await page.getByRole('link', { name: 'a/b c' }).click();
  await expect(page.getByText('It ends')).toBeVisible();
  await page.getByRole('button', { name: 'Close' }).first().click();
  await expect(page).toHaveURL(`/apps/${APP}/kv/notes`);
});

test('events have their causes and effects', async ({ page }) => {
  await page.goto(`/apps/${APP}/events`);
  await checkPage(page);
  await page
    .getByRole('row', { name: /orders\/1002/ })
    .getByRole('link')
    .click();
  const tree = page.getByRole('main').getByRole('list').first();
  await expect(tree.getByRole('link', { name: /events\.publish order\.placed/ })).toBeVisible();
  await expect(tree.getByText('nobody is no address')).toBeVisible();
  await checkPage(page);

  await page.goto(`/apps/${APP}/executions`);
  await page
    .getByRole('link', { name: /^events\.publish/ })
    .first()
    .click();
  await expect(page.getByText('Events that began with the same cause')).toBeVisible();
  await checkPage(page);
  await page.getByRole('link', { name: 'events.publish', exact: true }).click();
  await expect(page).toHaveURL(/\/events\/[0-9a-f-]{36}$/);
});

test('a dead letter is mended and replayed', async ({ page }) => {
  await page.goto(`/apps/${APP}/dead-letters`);
  await checkPage(page);
  await page.getByRole('link', { name: 'Look into it' }).click();
  const fields = page.getByRole('textbox');
  await expect(fields).toHaveValue(/"nobody"/);
  await checkPage(page);
  await fields.fill((await fields.inputValue()).replace('"nobody"', '"nora@example.org"'));
  await page.getByRole('button', { name: 'Replay as changed' }).click();
  await expect(page.getByRole('heading', { name: 'Nothing has failed for good' })).toBeVisible();
  await checkPage(page);
});

test('a message is sent, and dropped when it is dead', async ({ page }) => {
  await page.goto(`/apps/${APP}/queues`);
  await page.getByRole('button', { name: 'Send a message' }).click();
  await page.getByLabel('Queue').fill('mail');
  await page.getByLabel('Payload (JSON)').fill('{"to": "<img src=x onerror=alert(1)>"}');
  await checkPage(page);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await expect(page.getByText('The message is in mail')).toBeVisible();
  await expect(async () => {
    await page.getByRole('button', { name: 'Refresh' }).click();
    await expect(page.getByRole('link', { name: '1', exact: true })).toBeVisible({ timeout: 500 });
  }).toPass();
  await checkPage(page);
  await page.getByRole('link', { name: '1', exact: true }).click();
  await page.getByRole('link', { name: 'Look into it' }).click();
  await page.getByRole('button', { name: 'Drop' }).click();
  await page.getByRole('button', { name: 'Drop it' }).click();
  await expect(page.getByRole('heading', { name: 'Nothing has failed for good' })).toBeVisible();
});

test('schedules run, pause and go on', async ({ page }) => {
  await page.goto(`/apps/${APP}/schedules`);
  await checkPage(page);
  await page.getByRole('button', { name: 'Run digest now' }).click();
  await expect(page.getByText('digest runs now')).toBeVisible();
  await page.getByRole('button', { name: 'Pause digest' }).click();
  await page.getByRole('button', { name: 'Resume digest' }).click();
  await expect(page.getByRole('button', { name: 'Pause digest' })).toBeVisible();
});

test('a secret is set and never shown', async ({ page }) => {
  await page.goto(`/apps/${APP}/secrets`);
  await page.getByRole('button', { name: 'New secret' }).click();
  await page.getByLabel('Name').fill('TOKEN');
  await page.getByLabel('Value').fill('s3cret value');
  await checkPage(page);
  await page.getByRole('button', { name: 'Keep the secret' }).click();
  await expect(page.getByRole('cell', { name: 'TOKEN', exact: true })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('cell', { name: 'TOKEN', exact: true })).toBeVisible();
  expect(await page.content()).not.toContain('s3cret value');
  await checkPage(page);
  await page.getByRole('button', { name: 'Delete TOKEN' }).click();
  await page.getByRole('button', { name: 'Delete the secret' }).click();
  await expect(page.getByRole('cell', { name: 'TOKEN', exact: true })).toBeHidden();
});

test('a domain shows its record, and why it is not verified', async ({ page }) => {
  await page.goto(`/apps/${APP}/domains`);
  await expect(page.getByLabel("The record's name")).toContainText(`${APP}.example.org`);
  await checkPage(page);
  await page.getByRole('button', { name: `Verify ${APP}.example.org` }).click();
  await expect(page.getByRole('alert')).toBeVisible({ timeout: 30_000 });
  await checkPage(page);
  await page.getByRole('button', { name: `Remove ${APP}.example.org` }).click();
  await page.getByRole('button', { name: 'Remove the domain' }).click();
  await expect(page.getByRole('heading', { name: 'No domains of its own' })).toBeVisible();
});

test('members, usage and the audit log', async ({ page }) => {
  await page.goto(`/apps/${APP}/members`);
  await expect(page.getByText('(you)')).toBeVisible();
  await page.getByRole('button', { name: 'Add a member' }).click();
  await page.getByLabel('Name').fill('nobody');
  await page.getByRole('button', { name: 'Add the member' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await checkPage(page);
  await page.goto(`/apps/${APP}/usage`);
  await page.getByRole('link', { name: '7 days' }).click();
  await expect(page).toHaveURL(`/apps/${APP}/usage?days=7`);
  await checkPage(page);
  await page.goto(`/apps/${APP}/audit`);
  await expect(page.getByRole('cell', { name: 'Set secret' }).first()).toBeVisible();
  await page.getByRole('searchbox').fill('domain');
  await expect(page.getByRole('cell', { name: 'Set secret' })).toBeHidden();
  await checkPage(page);
});
