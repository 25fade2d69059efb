import { checkPage, enter, expect, NAME, PASSWORD, test } from './test';

test.use({ server: 'first-run' });
test.describe.configure({ mode: 'serial' });

test('a link that is none says what to do', async ({ page }) => {
  await page.goto('/join#0000');
  await expect(page.getByRole('heading', { name: 'This link does not work' })).toBeVisible();
  await checkPage(page);
});

test('from the setup link to an app that answers', async ({ page, picloud, context }) => {
  await page.goto(`/join#${picloud.setup}`);
  await expect(page.getByRole('heading', { name: 'Set up PiCloud' })).toBeVisible();
  await checkPage(page);
  await page.getByLabel('Name').fill(NAME);
  await page.getByLabel('Password').fill('short');
  await expect(page.getByText('5 more to go.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Make the account' })).toBeDisabled();
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Make the account' }).click();

  await expect(page.getByRole('heading', { name: 'Make your first app' })).toBeVisible();
  expect(page.url()).not.toContain(picloud.setup);
  await checkPage(page);

  await page.getByRole('main').getByRole('link', { name: 'New app' }).click();
  await page.getByText('Guestbook', { exact: true }).click();
  await page.getByLabel('Name').fill('Visitors');
  await expect(page.getByText('It begins with a small letter.')).toBeVisible();
  await page.getByLabel('Name').fill('visitors');
  await checkPage(page);
  await page.getByRole('button', { name: 'Make and deploy' }).click();

  await expect(page.getByRole('heading', { name: 'visitors' })).toBeVisible();
  const opening = context.waitForEvent('page');
  await page.getByRole('link', { name: 'Open', exact: true }).click();
  const app = await opening;
  await expect(app.getByRole('heading', { name: 'Guestbook' })).toBeVisible();
  await app.getByLabel('Name').fill('Ann');
  await app.getByLabel('Message').fill('<b>Hi!</b>');
  await app.getByRole('button', { name: 'Sign' }).click();
  await expect(app.getByText('<b>Hi!</b>')).toBeVisible();
  await app.close();

  await page.reload();
  await expect(page.getByRole('cell', { name: 'POST /' })).toBeVisible();
  await checkPage(page);
  await page.getByRole('link', { name: 'Apps', exact: true }).click();
  await expect(
    page.getByRole('main').getByRole('link', { name: 'visitors', exact: true }),
  ).toBeVisible();
  await checkPage(page);
});

test('a name that is taken is not deployed over', async ({ page, picloud }) => {
  await enter(page, picloud);
  await page.goto('/new');
  await page.getByLabel('Name').fill('visitors');
  await page.getByRole('button', { name: 'Make and deploy' }).click();
  await expect(page.getByText('There is an app with this name.')).toBeVisible();
});

test('the login comes back to the page, and says why it fails', async ({ page }) => {
  await page.goto('/apps/visitors/settings');
  await expect(page).toHaveURL('/login?to=%2Fapps%2Fvisitors%2Fsettings');
  await checkPage(page);
  await page.getByLabel('Name').fill(NAME);
  await page.getByLabel('Password').fill('not the password');
  await page.getByRole('button', { name: 'Log in' }).click();
  await expect(page.getByRole('alert')).toContainText('wrong_credentials');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Log in' }).click();
  await expect(page).toHaveURL('/apps/visitors/settings');
  await checkPage(page);
});

test('a token is made, shown once, and revoked', async ({ page, picloud }) => {
  await enter(page, picloud);
  await page.goto('/tokens');
  await page.getByRole('button', { name: 'New token' }).click();
  await page.getByLabel('Name').fill('ci');
  await checkPage(page);
  await page.getByRole('button', { name: 'Make the token' }).click();
  const token = await page.getByLabel('The token').innerText();
  const headers = { authorization: `Bearer ${token}` };
  expect((await fetch(`${picloud.url}/api/v1/apps`, { headers })).status).toBe(200);
  await page.getByRole('button', { name: 'Done' }).click();
  await checkPage(page);
  await page.getByRole('button', { name: 'Revoke ci' }).click();
  await page.getByRole('button', { name: 'Revoke the token' }).click();
  await expect(page.getByRole('heading', { name: 'No tokens yet' })).toBeVisible();
  expect((await fetch(`${picloud.url}/api/v1/apps`, { headers })).status).toBe(401);
});

test('keys lead everywhere, and the theme is kept', async ({ page, picloud }) => {
  await enter(page, picloud);
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible();
  await checkPage(page);
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox').fill('visit');
  await expect(page.getByRole('option', { name: /visitors/ })).toBeVisible();
  await checkPage(page);
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/apps/visitors');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.getByRole('button', { name: 'Your account' }).click();
  await page.getByRole('menuitem', { name: 'Dark' }).click();
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
});

test('the profile, and what is not there', async ({ page, picloud }) => {
  await enter(page, picloud);
  await page.goto('/profile');
  await expect(page.getByRole('heading', { name: 'Logins' })).toBeVisible();
  await checkPage(page);
  await page.goto('/apps/nobody-made-this');
  await expect(page.getByRole('heading', { name: 'There is nothing here' })).toBeVisible();
  await checkPage(page);
});

test('an app is deleted by its name', async ({ page, picloud }) => {
  await enter(page, picloud);
  await page.goto('/apps/visitors/settings');
  await page.getByRole('button', { name: 'Delete visitors' }).click();
  const sure = page.getByRole('button', { name: 'Delete the app' });
  await expect(sure).toBeDisabled();
  await checkPage(page);
  await page.getByLabel('Type visitors to confirm').fill('visitors');
  await sure.click();
  await expect(page.getByRole('heading', { name: 'Make your first app' })).toBeVisible();
});
