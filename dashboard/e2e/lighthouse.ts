/**
 * What Lighthouse says of every page, as numbers to read: they depend on the
 * machine. It is fetched when it is first run, as nothing else needs it.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium } from '@playwright/test';
import { address, PATTERNS } from './addresses';
import { visit } from './apps';
import { seed } from './seed';
import { enter, test } from './test';

const LIGHTHOUSE = 'lighthouse@12';
const CATEGORIES = ['performance', 'accessibility', 'best-practices'];
/** Audits below this are named. */
const GOOD = 0.9;

interface Report {
  categories: Record<string, { score: number | null; auditRefs: { id: string; weight: number }[] }>;
  audits: Record<string, { score: number | null; displayValue?: string }>;
}

test('lighthouse', async ({ picloud, launchOptions }) => {
  const dir = await mkdtemp(join(tmpdir(), 'lighthouse-'));
  const port = await freePort();
  // Lighthouse opens a tab of its own in this browser, in which somebody is logged in.
  const browser = await chromium.launchPersistentContext(join(dir, 'profile'), {
    ...launchOptions,
    args: [...(launchOptions.args ?? []), `--remote-debugging-port=${port}`],
    baseURL: picloud.url,
  });
  const page = await browser.newPage();
  await enter(page, picloud);
  await seed(page, picloud, 'shop');
  for (const path of ['/', '/', '/total/eur', '/total/none'])
    await visit(page, picloud, 'shop', path);
  const worst: Record<string, number> = {};
  for (const pattern of PATTERNS) {
    const path = await address(page, pattern, 'shop');
    await page.goto('about:blank');
    const output = join(dir, 'report.json');
    await promisify(execFile)('npx', [
      '--yes',
      process.env.LIGHTHOUSE ?? LIGHTHOUSE,
      new URL(path, picloud.url).href,
      ...['--port', String(port), '--preset', 'desktop', '--output', 'json'],
      ...['--output-path', output, '--only-categories', CATEGORIES.join(','), '--quiet'],
      '--disable-storage-reset',
    ]);
    const report = JSON.parse(await readFile(output, 'utf8')) as Report;
    const scores = CATEGORIES.map((name) => {
      const score = Math.round((report.categories[name]?.score ?? 0) * 100);
      worst[name] = Math.min(worst[name] ?? 100, score);
      return `${name} ${score}`;
    });
    const poor = CATEGORIES.flatMap((name) => report.categories[name]?.auditRefs ?? [])
      .filter(({ weight }) => weight > 0)
      .map(({ id }) => [id, report.audits[id]] as const)
      .filter(([, audit]) => audit?.score != null && audit.score < GOOD)
      .map(([id, audit]) => `${id} ${audit?.displayValue ?? ''}`.trim());
    console.log(pattern, scores.join(', '), poor.length > 0 ? poor : '');
  }
  console.log('worst:', worst);
  await browser.close();
  await rm(dir, { recursive: true });
});

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
