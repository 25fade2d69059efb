/** Pictures of every page, for people to look at: `.shots/<page>-<width>-<theme>.png`. */
import { request } from '@playwright/test';
import { enter, expect, test } from './test';

const WIDTHS = [1280, 390];
const THEMES = ['light', 'dark'] as const;
/** The pages, and what an app of them is called. Those that need a certain id name how to find it. */
const PAGES = [
  '/',
  '/new',
  '/apps/guestbook',
  '/apps/guestbook/settings',
  '/apps/draft',
  '/profile',
  '/tokens',
  '/apps/nowhere',
];

test('pictures of every page', async ({ page, picloud, browser }) => {
  const outside = await browser.newContext({ baseURL: picloud.url });
  const stranger = await outside.newPage();
  for (const [name, path] of [
    ['join', `/join#${picloud.setup}`],
    ['login', '/login'],
  ] as const) {
    await stranger.goto(path);
    await shoot(stranger, name);
  }
  await enter(page, picloud);
  await shoot(page, 'empty');
  for (const [template, app] of [
    ['Guestbook', 'guestbook'],
    ['JSON API', 'json-api'],
    ['Event pipeline', 'orders'],
  ] as const) {
    await page.goto('/new');
    await page.getByText(template, { exact: true }).click();
    await page.getByLabel('Name').fill(app);
    await page.getByRole('button', { name: 'Make and deploy' }).click();
    await expect(page).toHaveURL(`/apps/${app}`);
  }
  const headers = { origin: picloud.url };
  await page.request.put('/api/v1/apps/draft', { headers });
  const token = { name: 'ci', scope: 'deploy', app: 'guestbook' };
  await page.request.post('/api/v1/tokens', { headers, data: token });
  const url = await page.request
    .get('/api/v1/apps/guestbook')
    .then(async (got) => (await got.json()).url as string);
  // Node knows no address of guestbook.localhost, so the name goes by the header.
  const { host, port } = new URL(url);
  const visitor = await request.newContext({ extraHTTPHeaders: { host } });
  for (let visit = 0; visit < 12; visit++) await visitor.get(`http://127.0.0.1:${port}/`);
  for (const path of PAGES) {
    await page.goto(path);
    await shoot(page, path === '/' ? 'apps' : path.slice(1).replaceAll('/', '-'));
  }
  await page.goto('/apps/guestbook');
  await page.keyboard.press('Control+k');
  await shoot(page, 'palette');
});

async function shoot(page: import('@playwright/test').Page, name: string): Promise<void> {
  await page.waitForLoadState('networkidle');
  for (const width of WIDTHS) {
    for (const colorScheme of THEMES) {
      await page.setViewportSize({ width, height: width < 600 ? 844 : 860 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.screenshot({ path: `.shots/${name}-${width}-${colorScheme}.png`, fullPage: true });
    }
  }
}
