/** Files: those of a draft, and those that an app stores. */
import { readFile } from 'node:fs/promises';
import { deploy } from './apps';
import { enter, expect, test } from './test';

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

test('files are uploaded into a draft, renamed and deployed', async ({ page, picloud }) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'filed', {
    'index.rhai': '"hi"',
    'orders/[id].rhai': '"an order"',
  });
  await page.goto('/apps/filed/editor');
  await expect(page.getByRole('textbox', { name: 'index.rhai' })).toBeVisible();
  const chooser = page.getByLabel('Files to upload');
  await chooser.setInputFiles([
    { name: 'about.rhai', mimeType: 'text/plain', buffer: Buffer.from('"about us"') },
    { name: 'pixel.png', mimeType: 'image/png', buffer: PIXEL },
  ]);
  await expect(page.getByText('2 files changed')).toBeVisible();
  await expect(page.getByText('that are no text.')).toBeVisible();
  // One that cannot be says why, and does not keep those after it away.
  await chooser.setInputFiles([
    { name: 'orders', mimeType: '', buffer: Buffer.from('no') },
    { name: 'after.txt', mimeType: 'text/plain', buffer: Buffer.from('yes') },
  ]);
  await expect(
    page.getByText('orders is not uploaded. There is a folder with this path. Give it another'),
  ).toBeVisible();
  await expect(page.getByText('3 files changed')).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'after.txt' })).toContainText('yes');
  await page.getByRole('button', { name: 'pixel.png' }).click();

  await page.getByRole('button', { name: 'Rename pixel.png' }).click();
  const renaming = page.getByRole('dialog', { name: 'Rename the file' });
  const submit = renaming.getByRole('button', { name: 'Rename' });
  await renaming.getByLabel('Path').fill('index.rhai');
  await expect(page.getByText('There is a file with this path.')).toBeVisible();
  await expect(submit).toBeDisabled();
  await renaming.getByLabel('Path').fill('../pixel.png');
  await expect(page.getByText('A path has no . or .. in it.')).toBeVisible();
  await renaming.getByLabel('Path').fill('public/pixel.png');
  await submit.click();
  await page.getByRole('button', { name: 'about.rhai' }).click();
  await expect(page.getByRole('textbox', { name: 'about.rhai' })).toContainText('about us');

  await page.getByRole('button', { name: 'Deploy…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Deploy' });
  await dialog.getByRole('button', { name: 'Deploy' }).click();
  await expect(page.getByText('as in release 2')).toBeVisible();
  const file = async (path: string) =>
    page.request.get(`/api/v1/apps/filed/releases/2/files/${path}`);
  expect(await (await file('public/pixel.png')).body()).toEqual(PIXEL);
  expect(await (await file('about.rhai')).text()).toBe('"about us"');
});

test('a file that is too large says what to do', async ({ page, picloud }) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'large', { 'index.rhai': '"hi"' });
  await page.goto('/apps/large/editor');
  await expect(page.getByRole('textbox', { name: 'index.rhai' })).toBeVisible();
  const upload = (name: string, mebibytes: number) =>
    page.getByLabel('Files to upload').setInputFiles({
      name,
      mimeType: 'application/octet-stream',
      buffer: Buffer.alloc(mebibytes << 20, 255),
    });
  await upload('huge.bin', 11);
  await expect(
    page.getByText('huge.bin is not uploaded. With it the app would have 11 MiB, and may have 10'),
  ).toBeVisible();
  await expect(page.getByText('as in release 1')).toBeVisible();

  // A release may have it; a browser keeps less.
  await upload('large.bin', 6);
  await expect(page.getByText('deploy it, or delete large files')).toBeVisible();
  await page.getByRole('button', { name: 'Delete large.bin' }).click();
  await page.getByRole('button', { name: 'Delete the file' }).click();
  await expect(page.getByText('as in release 1')).toBeVisible();
});

test('what a function does is told where it is pointed at', async ({ page, picloud }) => {
  await enter(page, picloud);
  const script = 'fn get(req) {\n    kv::collection("orders").get_or("a", 0)\n}\n';
  await deploy(page, picloud, 'hovered', { 'index.rhai': script });
  await page.goto('/apps/hovered/editor');
  const code = page.getByRole('textbox', { name: 'index.rhai' });
  await expect(code).toContainText('collection');
  await code.getByText('collection').hover();
  await expect(page.getByText('It exists as soon as something is in it.')).toBeVisible();
  await page.mouse.move(0, 0);
  await expect(page.getByText('It exists as soon as something is in it.')).toBeHidden();
});

test('an app’s files are uploaded, found, downloaded and deleted', async ({ page, picloud }) => {
  await enter(page, picloud);
  await deploy(page, picloud, 'stored', { 'index.rhai': '"hi"' });
  await page.goto('/apps/stored/files');
  await expect(page.getByRole('heading', { name: 'No files yet' })).toBeVisible();
  const upload = async (bucket: string) => {
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Upload files' });
    await dialog.getByLabel('Bucket').fill(bucket);
    await dialog.getByLabel('Folder').fill('ann/');
    await dialog
      .getByLabel('Files', { exact: true })
      .setInputFiles({ name: 'pixel.png', mimeType: 'image/png', buffer: PIXEL });
    await dialog.getByRole('button', { name: 'Upload' }).click();
    return dialog;
  };
  const refused = await upload('no bucket');
  await expect(refused.getByRole('alert')).toContainText('bucket');
  await page.keyboard.press('Escape');
  await upload('photos');
  await expect(page.getByText('pixel.png is stored')).toBeVisible();
  await expect(page.getByRole('cell', { name: 'image/png' })).toBeVisible();

  const downloading = page.waitForEvent('download');
  await page.getByRole('link', { name: 'ann/pixel.png' }).click();
  const path = await (await downloading).path();
  expect(await readFile(path)).toEqual(PIXEL);

  await page.getByLabel('Paths that begin with …').fill('bob');
  await expect(page.getByRole('heading', { name: 'No such path' })).toBeVisible();
  await page.getByLabel('Paths that begin with …').fill('ann');
  await page.getByRole('button', { name: 'Delete ann/pixel.png' }).click();
  await page
    .getByRole('dialog')
    .getByRole('button', { name: /^Delete/ })
    .click();
  await expect(page.getByText('ann/pixel.png is deleted')).toBeVisible();
});
