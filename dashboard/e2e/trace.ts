/**
 * How quick it is, in numbers to read: how long a change of pages takes, and
 * whether a log of 500 lines a second holds up the browser. They depend on the
 * machine, so nothing fails by them.
 */
import type { Page } from '@playwright/test';
import { appPages, type Entry } from '../src/lib/nav';
import { deploy } from './apps';
import { PATTERNS } from './addresses';
import { seed } from './seed';
import { enter, expect, test } from './test';

const LINES_PER_S = 500;
const REQUESTS_PER_S = 5;
const FOR_S = 20;
/** Of somebody quick: from the coming to a link until its press, and until that ends. */
const POINTED_MS = 100;
const PRESSED_MS = 60;
const LINES = LINES_PER_S / REQUESTS_PER_S;

declare global {
  var PAGES: string[];
  interface Window {
    longTasks: number[];
    changed: Promise<number>;
  }
}
globalThis.PAGES = PATTERNS;

test('changes of pages', async ({ page, picloud }) => {
  await enter(page, picloud);
  await seed(page, picloud, 'quick');
  await page.goto('/apps/quick');
  await expect(page.getByRole('heading', { name: 'quick' })).toBeVisible();
  const entries = appPages('quick').flatMap((group) => group.entries);
  for (const [round, pointed] of [
    ['first, by keys', false],
    ['again, by keys', false],
    ['first, by mouse', true],
    ['again, by mouse', true],
  ] as const) {
    // A page that is new has no code of the others.
    if (round.startsWith('first')) await page.reload();
    await expect(page.getByRole('heading', { name: 'quick' })).toBeVisible();
    const took: [Entry, number][] = [];
    for (const entry of [...entries.slice(1), ...entries.slice(0, 1)]) {
      took.push([entry, await change(page, entry, pointed)]);
    }
    took.sort(([, a], [, b]) => b - a);
    const ms = took.map(([, each]) => each);
    console.log(
      `${round}: median ${ms[Math.floor(ms.length / 2)]?.toFixed(0)} ms, slowest`,
      took.slice(0, 4).map(([{ label }, each]) => `${label} ${each.toFixed(0)} ms`),
    );
  }
});

test('a log that comes fast', async ({ page, picloud }) => {
  await enter(page, picloud);
  const script = `fn get(req) {
    for i in 0..${LINES} { log::info(\`line \${i} of \${req.query.n}\`, #{ request: req.query.n }); }
}
`;
  await deploy(page, picloud, 'loud', { 'index.rhai': script });
  await page.addInitScript(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => {
      window.longTasks.push(...list.getEntries().map(({ duration }) => duration));
    }).observe({ type: 'longtask' });
  });
  await page.goto('/apps/loud/logs');
  await expect(page.getByRole('heading', { name: 'No lines yet' })).toBeVisible();
  await page.evaluate(() => (window.longTasks = []));
  const begun = performance.now();
  const asked: Promise<unknown>[] = [];
  for (let n = 0; n < FOR_S * REQUESTS_PER_S; n++) {
    asked.push(ask(page, picloud.url, n));
    const next = begun + ((n + 1) * 1_000) / REQUESTS_PER_S;
    await new Promise((done) => setTimeout(done, Math.max(0, next - performance.now())));
  }
  await Promise.all(asked);
  const sent_s = (performance.now() - begun) / 1_000;
  const last = `line ${LINES - 1} of ${FOR_S * REQUESTS_PER_S - 1}`;
  await expect(page.getByRole('log').getByText(last)).toBeVisible();
  const behind_ms = performance.now() - begun - sent_s * 1_000;
  const tasks = await page.evaluate(() => window.longTasks);
  console.log(
    `${((FOR_S * LINES_PER_S) / sent_s).toFixed(0)} lines/s for ${sent_s.toFixed(1)} s;`,
    `the last was seen ${behind_ms.toFixed(0)} ms after its answer;`,
    `${tasks.length} long tasks, the longest ${Math.max(0, ...tasks).toFixed(0)} ms`,
  );
});

/** From the click on the navigation until the page is painted, in milliseconds. */
async function change(page: Page, { href }: Entry, pointed: boolean): Promise<number> {
  await page.evaluate((href) => {
    const before = document.querySelector('main h1');
    window.changed = new Promise<number>((done) => {
      const clicked = () => {
        const began = performance.now();
        const look = () => {
          const now = document.querySelector('main h1');
          // The page is another one, and not only its address; and the editor has its text.
          const text = !href.endsWith('/editor') || document.querySelector('main .code .text');
          if (location.pathname !== href || now === null || now === before || !text)
            requestAnimationFrame(look);
          // This frame shows it: when the next task runs, that is painted.
          else setTimeout(() => done(performance.now() - began));
        };
        requestAnimationFrame(look);
      };
      document.addEventListener('click', clicked, { once: true, capture: true });
    });
  }, href);
  const link = page.locator(`nav a[href="${href}"]`);
  if (pointed) {
    await link.hover();
    await page.waitForTimeout(POINTED_MS);
    await page.mouse.down();
    await page.waitForTimeout(PRESSED_MS);
    await page.mouse.up();
  } else {
    await link.focus();
    await page.waitForTimeout(POINTED_MS);
    await page.keyboard.press('Enter');
  }
  return page.evaluate(() => window.changed);
}

async function ask(page: Page, url: string, n: number): Promise<void> {
  const answer = await page.request.post('/api/v1/apps/loud/invoke', {
    headers: { origin: url },
    data: { path: `/?n=${n}` },
  });
  if (!answer.ok()) throw new Error(await answer.text());
}
