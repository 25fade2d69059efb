import type { Locator, Page } from '@playwright/test';
import { deploy } from './apps';
import type { PiCloud } from './server';
import { checkPage, enter, expect, test } from './test';

const HELLO = 'fn get(req) {\n    log::info("greeted");\n    "Hello, world!"\n}\n';

/** Opens the editor of a new app; where its script is typed. */
async function edit(
  page: Page,
  picloud: PiCloud,
  app: string,
  files: Parameters<typeof deploy>[3] = { 'index.rhai': HELLO },
): Promise<Locator> {
  await enter(page, picloud);
  await deploy(page, picloud, app, files);
  await page.goto(`/apps/${app}/editor`);
  return page.getByRole('textbox', { name: 'index.rhai' });
}

test('a file is edited, kept, tried and deployed', async ({ page, picloud }) => {
  const code = await edit(page, picloud, 'edited', {
    'index.rhai': HELLO,
    'public/style.css': 'p {}\n',
    'public/dot.bin': new Uint8Array([0x89, 0, 0xff]),
  });
  await expect(code).toContainText('Hello, world!');
  await expect(page.getByRole('button', { name: 'Deploy…' })).toBeDisabled();
  await checkPage(page);

  await code.click();
  await page.keyboard.press('Control+End');
  await page.keyboard.type('\n// A line of mine.\nkv::');
  await expect(page.getByRole('option', { name: /collection/ })).toBeVisible();
  await expect(page.getByText('It exists as soon as something is in it.')).toBeVisible();
  await page.keyboard.press('Escape');
  for (let letter = 0; letter < 4; letter++) await page.keyboard.press('Backspace');
  await page.keyboard.press('Control+s');
  await expect(page.getByText('The draft is kept in this browser')).toBeVisible();

  await page.reload();
  await expect(code).toContainText('A line of mine.');
  await expect(page.getByText('1 file changed')).toBeVisible();
  await page.getByRole('button', { name: 'style.css' }).click();
  await expect(page.getByRole('textbox', { name: 'public/style.css' })).toContainText('p {}');
  await page.getByRole('button', { name: 'dot.bin' }).click();
  await expect(page.getByText('3 B that are no text')).toBeVisible();
  await page.getByRole('button', { name: 'index.rhai' }).click();

  await code.click();
  await page.keyboard.press('Control+Enter');
  const answer = page.getByLabel('Body of the answer');
  await expect(answer).toHaveText('Hello, world!');
  await page.getByRole('tab', { name: 'Log (1)' }).click();
  await expect(page.getByText('greeted', { exact: true })).toBeVisible();
  await page.getByRole('tab', { name: 'Receipt' }).click();
  await expect(page.getByText('Fuel', { exact: true })).toBeVisible();
  await checkPage(page);

  await page.getByRole('button', { name: 'Deploy…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Deploy' });
  await expect(dialog.getByRole('cell', { name: '// A line of mine.' })).toBeVisible();
  await checkPage(page);
  await dialog.getByLabel('Note').fill('mine');
  await dialog.getByRole('button', { name: 'Deploy' }).click();
  // The request before has made release 2, a draft.
  await expect(page.getByText('as in release 3')).toBeVisible();
  await page.reload();
  await expect(code).toContainText('A line of mine.');
  await expect(page.getByText('as in release 3')).toBeVisible();
});

test('a deploy overwrites nothing that has come meanwhile', async ({ page, picloud }) => {
  const code = await edit(page, picloud, 'shared');
  await code.click();
  await page.keyboard.press('Control+End');
  await page.keyboard.type('// Mine.');
  await expect(page.getByText('1 file changed')).toBeVisible();

  await deploy(page, picloud, 'shared', { 'index.rhai': `${HELLO}// Theirs.\n` });
  await page.getByRole('button', { name: 'Deploy…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Deploy' });
  await dialog.getByRole('button', { name: 'Deploy' }).click();
  await expect(dialog.getByText('Nothing was overwritten.')).toBeVisible();
  await dialog.getByRole('button', { name: 'Load the active release' }).click();
  await expect(page.getByText('Release 2 has become active')).toBeVisible();
  await expect(code).toContainText('Mine.');
  await checkPage(page);
  await page.getByRole('button', { name: 'Keep my changes' }).click();
  await page.getByRole('button', { name: 'Deploy…' }).click();
  await expect(dialog.getByRole('cell', { name: '// Theirs.' })).toBeVisible();
  await dialog.getByRole('button', { name: 'Deploy' }).click();
  await expect(page.getByText('as in release 3')).toBeVisible();
});

test('a mistake is shown where it is', async ({ page, picloud }) => {
  await edit(page, picloud, 'wrong');
  await page.getByRole('button', { name: 'New file' }).click();
  await page.getByRole('dialog').getByLabel('Path').fill('/broken.rhai');
  await expect(page.getByText('with none at the ends')).toBeVisible();
  await page.getByRole('dialog').getByLabel('Path').fill('broken.rhai');
  await page.getByRole('button', { name: 'Make the file' }).click();
  const code = page.getByRole('textbox', { name: 'broken.rhai' });
  await code.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('let x = ;');
  const problems = page.getByRole('region', { name: 'Problems' });
  await expect(problems).toContainText('broken.rhai:1:9');
  await page.getByRole('button', { name: 'Deploy…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Deploy' }).click();
  await expect(page.getByRole('alert').getByText('let x = ;')).toBeVisible();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(problems.getByText('broken.rhai:1:9')).toBeVisible();
  await checkPage(page);
});

test('the page is there before its files are, and what was kept stays', async ({
  page,
  picloud,
}) => {
  const code = await edit(page, picloud, 'slow');
  await code.click();
  await page.keyboard.insertText('// Mine alone.\n');
  await expect(page.getByText('1 file changed')).toBeVisible();

  let answer = () => {};
  const held = new Promise<void>((done) => (answer = done));
  await page.route(/\/releases\/active/, async (route) => {
    await held;
    await route.continue();
  });
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Editor' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'New file' })).toBeHidden();
  await page.keyboard.press('Control+s');
  await checkPage(page);
  answer();
  await expect(code).toContainText('Mine alone.');
  await expect(page.getByText('1 file changed')).toBeVisible();

  await page.route(/\/releases\/active/, (route) => route.abort());
  await page.reload();
  await expect(page.getByRole('alert')).toContainText('The server does not answer');
  await page.unroute(/\/releases\/active/);
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(code).toContainText('Mine alone.');
});

test('who leaves a draft that the browser has no room for is asked', async ({ page, picloud }) => {
  const code = await edit(page, picloud, 'full');
  await code.click();
  await page.evaluate(() => {
    for (let size = 1 << 22; size >= 1; size >>= 1) {
      try {
        for (;;) localStorage.setItem(`full-${localStorage.length}`, 'x'.repeat(size));
      } catch {
        // Then a smaller one.
      }
    }
  });
  await page.keyboard.insertText('// Mine alone.\n');
  await expect(page.getByText('The draft is not kept')).toBeVisible();
  await page.getByRole('link', { name: 'Logs' }).click();
  const dialog = page.getByRole('dialog', { name: 'Leave without your changes?' });
  await expect(dialog).toContainText('index.rhai');
  await checkPage(page);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(code).toContainText('Mine alone.');
  expect(page.url()).toContain('/editor');
  await page.getByRole('link', { name: 'Logs' }).click();
  await dialog.getByRole('button', { name: 'Leave without them' }).click();
  await expect(page.getByRole('heading', { name: 'Logs' })).toBeVisible();
  await page.evaluate(() => localStorage.clear());
});

test('back in the history, the editor is of the app that it was of', async ({ page, picloud }) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'one', { 'index.rhai': '"I am one"' });
  await deploy(page, picloud, 'two', { 'index.rhai': '"I am two"' });
  await page.goto('/apps/one/editor');
  const code = page.getByRole('textbox', { name: 'index.rhai' });
  await expect(code).toContainText('I am one');
  await page.getByRole('link', { name: 'Apps', exact: true }).click();
  await page.getByRole('link', { name: 'two', exact: true }).click();
  await page.getByRole('link', { name: 'Editor' }).click();
  await expect(code).toContainText('I am two');
  await page.evaluate(() => history.go(-3));
  await expect(code).toContainText('I am one');
  await code.click();
  await page.keyboard.insertText('// Of one.\n');
  await expect(page.getByText('1 file changed')).toBeVisible();
  await page.evaluate(() => history.go(3));
  await expect(code).toContainText('I am two');
  await expect(code).not.toContainText('Of one');
});

test('drafts go with the logout, which asks first', async ({ page, picloud }) => {
  const code = await edit(page, picloud, 'drafted');
  await code.click();
  await page.keyboard.type('// Mine alone.\n');
  await expect(page.getByText('1 file changed')).toBeVisible();
  await page.keyboard.press('Control+s');
  await expect(page.getByText('The draft is kept in this browser')).toBeVisible();

  const logOut = async () => {
    await page.getByRole('button', { name: 'Your account' }).click();
    await page.getByRole('menuitem', { name: 'Log out' }).click();
  };
  await logOut();
  const dialog = page.getByRole('dialog', { name: 'Log out and discard your drafts?' });
  await expect(dialog).toContainText('drafted');
  await checkPage(page);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(code).toContainText('Mine alone.');
  await logOut();
  await dialog.getByRole('button', { name: 'Discard and log out' }).click();
  await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible();
  expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain('Mine alone.');

  await enter(page, picloud);
  await page.goto('/apps/drafted/editor');
  await expect(code).toContainText('Hello, world!');
  await expect(page.getByText('as in release 1')).toBeVisible();
  await logOut();
  await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible();
});

test('drafts go, too, when the login has ended before the logout', async ({ page, picloud }) => {
  const code = await edit(page, picloud, 'ended');
  await code.click();
  // The last request there is: one that is refused would show the login by itself.
  const checked = page.waitForResponse((answer) => answer.url().endsWith('/check'));
  await page.keyboard.insertText('// Mine alone.\n');
  await page.keyboard.press('Control+s');
  await expect(page.getByText('The draft is kept in this browser')).toBeVisible();
  await checked;
  await page.getByRole('button', { name: 'Your account' }).click();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  const discard = page.getByRole('button', { name: 'Discard and log out' });
  await expect(discard).toBeVisible();
  await page.context().clearCookies();
  await discard.click();
  await expect(page.getByRole('button', { name: 'Log in' })).toBeVisible();
  await expect
    .poll(() => page.evaluate(() => JSON.stringify(localStorage)))
    .not.toContain('Mine alone.');
});
