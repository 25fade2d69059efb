/** From an empty server to an app that was written, broken, mended and rolled back here. */
import type { Page } from '@playwright/test';
import { expect, NAME, PASSWORD, test } from './test';

const APP = 'story';
const LETTER = `fn on_message(message) {
let to = message.payload.to;
if !to.contains("@") { throw \`\${to} is no address\`; }
log::info("a letter to " + to);
`;
const TRIGGER = `
[[triggers]]
on = "queue.message"
queue = "letters"
handler = "jobs/letter.rhai"
attempts = 1
`;
const STATISTICS = `fn get(req) {
log::info("the statistics are asked for");
#{ pears: kv::collection("stock").get("pear") ?? 0 }
}
`;

test.use({ server: 'story' });
// It is one test of many steps: each needs what those before it have made.
test.setTimeout(300_000);

test('the whole way, without a command line', async ({ page, picloud, context, browser }) => {
  await test.step('the first account is made', async () => {
    await page.goto(`/join#${picloud.setup}`);
    await page.getByLabel('Name').fill(NAME);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Make the account' }).click();
    await expect(page.getByRole('heading', { name: 'Make your first app' })).toBeVisible();
  });

  await test.step('an app is made from a template', async () => {
    await page.getByRole('main').getByRole('link', { name: 'New app' }).click();
    await page.getByText('Event pipeline', { exact: true }).click();
    await page.getByLabel('Name').fill(APP);
    await page.getByRole('button', { name: 'Make and deploy' }).click();
    await expect(page.getByRole('heading', { name: APP })).toBeVisible();
  });

  await test.step('it is edited, and a mistake is shown and mended', async () => {
    await page.getByRole('link', { name: 'Edit', exact: true }).click();
    await open(page, 'statistics.rhai');
    await write(page, 'statistics.rhai', STATISTICS);
    await open(page, 'picloud.toml');
    await page.getByRole('textbox', { name: 'picloud.toml' }).click();
    await page.keyboard.press('Control+End');
    await page.keyboard.insertText(TRIGGER);
    await page.getByRole('button', { name: 'New file' }).click();
    await page.getByRole('dialog').getByLabel('Path').fill('jobs/letter.rhai');
    await page.getByRole('button', { name: 'Make the file' }).click();
    await write(page, 'jobs/letter.rhai', LETTER);
    const problems = page.getByRole('region', { name: 'Problems' });
    await expect(problems).toContainText('jobs/letter.rhai:');
    await page.keyboard.press('Control+End');
    await page.keyboard.insertText('}\n');
    await expect(problems).toContainText('No problems');
  });

  await test.step('it is deployed', async () => {
    await page.getByRole('button', { name: 'Deploy…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Deploy' });
    await expect(dialog.getByText('jobs/letter.rhai', { exact: true })).toBeVisible();
    await dialog.getByLabel('Note').fill('letters');
    await dialog.getByRole('button', { name: 'Deploy' }).click();
    await expect(page.getByText('as in release 2')).toBeVisible();
  });

  const visitor = await context.newPage();
  await test.step('its address answers, and its line comes into the log', async () => {
    await follow(page, 'Logs');
    await expect(page.getByRole('heading', { name: 'No lines yet' })).toBeVisible();
    await visitor.goto(await address(page, '/statistics'));
    await expect(visitor.locator('body')).toContainText('{"pears":0}');
    await expect(page.getByText('the statistics are asked for', { exact: true })).toBeVisible();
  });

  await test.step('an entry is made and changed', async () => {
    await follow(page, 'Key-value');
    await page.getByRole('button', { name: 'New entry' }).click();
    await page.getByLabel('Collection').fill('stock');
    await page.getByLabel('Key', { exact: true }).fill('pear');
    await page.getByLabel('Value (JSON)').fill('10');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('link', { name: 'pear', exact: true }).click();
    await page.getByLabel('Value (JSON)').fill('12');
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.getByRole('dialog')).toBeHidden();
    await visitor.reload();
    await expect(visitor.locator('body')).toContainText('{"pears":12}');
  });

  await test.step('a handler fails, and its dead letter is mended and replayed', async () => {
    await follow(page, 'Queues');
    await page.getByRole('button', { name: 'Send a message' }).click();
    await page.getByLabel('Queue').fill('letters');
    await page.getByLabel('Payload (JSON)').fill('{"to": "nobody"}');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await expect(page.getByText('The message is in letters')).toBeVisible();
    await follow(page, 'Dead letters');
    await expect(async () => {
      await page.getByRole('button', { name: 'Refresh' }).click();
      await expect(page.getByText('nobody is no address')).toBeVisible({ timeout: 500 });
    }).toPass({ timeout: 30_000 });
    await page.getByRole('link', { name: 'Look into it' }).click();
    const payload = page.getByRole('dialog').getByRole('textbox');
    await payload.fill((await payload.inputValue()).replace('nobody', 'nora@example.org'));
    await page.getByRole('button', { name: 'Replay as changed' }).click();
    await expect(page.getByRole('heading', { name: 'Nothing has failed for good' })).toBeVisible();
    await follow(page, 'Logs');
    await expect(page.getByText('a letter to nora@example.org')).toBeVisible();
  });

  await test.step('it is rolled back', async () => {
    await follow(page, 'Releases');
    await page.getByRole('link', { name: '1', exact: true }).click();
    await page.getByRole('button', { name: 'Roll back' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click();
    await expect(page.getByText('active', { exact: true })).toBeVisible();
    await visitor.reload();
    await expect(visitor.locator('body')).toContainText('"stock":{"pear":12}');
  });

  await test.step('somebody who is invited does not see it', async () => {
    await follow(page, 'Invitations');
    await page.getByRole('button', { name: 'Invite' }).click();
    await page.getByRole('button', { name: 'Make the link' }).click();
    const link = await page.getByRole('group', { name: 'The link' }).innerText();
    const theirs = await browser.newContext({ baseURL: picloud.url });
    const bert = await theirs.newPage();
    await bert.goto(link);
    await bert.getByLabel('Name').fill('bert');
    await bert.getByLabel('Password').fill('walnut and hazel');
    await bert.getByRole('button', { name: 'Make the account' }).click();
    await expect(bert.getByRole('heading', { name: 'Make your first app' })).toBeVisible();
    for (const path of ['', '/logs', '/kv', '/editor']) {
      await bert.goto(`/apps/${APP}${path}`);
      await expect(bert.getByRole('heading', { name: 'There is nothing here' })).toBeVisible();
    }
    await expect(bert.getByText('pears')).toBeHidden();
    await theirs.close();
  });
});

/** Goes to a page by the navigation. */
async function follow(page: Page, name: string): Promise<void> {
  await page
    .getByRole('navigation', { name: 'Main' })
    .getByRole('link', { name, exact: true })
    .click();
  await expect(page.getByRole('main').getByRole('heading', { level: 1 })).toHaveText(name);
}

async function open(page: Page, file: string): Promise<void> {
  await page.getByTitle(file, { exact: true }).click();
  await expect(page.getByRole('textbox', { name: file, exact: true })).toBeVisible();
}

/** Writes over all of the file that is open. */
async function write(page: Page, file: string, text: string): Promise<void> {
  await page.getByRole('textbox', { name: file, exact: true }).click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(text);
}

/** Where the app answers. */
async function address(page: Page, path: string): Promise<string> {
  const answer = await page.request.get(`/api/v1/apps/${APP}`);
  return new URL(path, ((await answer.json()) as { url: string }).url).href;
}
