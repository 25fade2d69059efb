/** Whatever a tenant writes is shown as text, on every page, and runs nowhere. */
import type { Page } from '@playwright/test';
import { address, PATTERNS } from './addresses';
import { deploy } from './apps';
import type { PiCloud } from './server';
import { enter, expect, PASSWORD, NAME, test } from './test';

const APP = 'hostile';
/** Leaves an attribute and a tag that it may stand in, and makes an element that runs. */
const PAYLOAD = `'"><img data-xss src=x onerror=alert(1)>`;
/** What runs where it becomes an address. */
const ADDRESS = 'javascript:alert(1)';
/** Where names have rules, they do not let it through. */
const SECRET = `/api/v1/apps/${APP}/secrets/${encodeURIComponent(PAYLOAD)}`;

test.use({ server: 'xss' });

test.beforeEach(async ({ page, picloud }) => {
  page.on('dialog', (dialog) => {
    throw new Error(`a script ran: ${dialog.message()}`);
  });
  await enter(page, picloud);
  const made = await page.request.get(`/api/v1/apps/${APP}`);
  if (!made.ok()) await plant(page, picloud);
});

for (const pattern of PATTERNS) {
  test(`${pattern} shows it as text`, async ({ page }) => {
    await page.goto(await address(page, pattern, APP));
    await expect(page.getByRole('heading').first()).toBeVisible();
    await page.waitForLoadState('networkidle');
    for (const shown of SHOWN[pattern] ?? []) {
      await expect(page.getByText(shown).first(), `${pattern}: ${shown}`).toBeVisible();
    }
    await harmless(page);
  });
}

test('what is opened on a page shows it as text, too', async ({ page }) => {
  await page.goto(`/apps/${APP}/kv/things`);
  await page.getByRole('link', { name: PAYLOAD }).click();
  await expect(page.getByLabel('Value (JSON)')).toHaveValue(/data-xss/);
  await harmless(page);

  await page.goto(`/apps/${APP}/dead-letters`);
  await page.getByRole('link', { name: 'Look into it' }).first().click();
  await expect(page.getByRole('dialog').getByText(PAYLOAD).first()).toBeVisible();
  await harmless(page);

  const found = await page.request.get(`/api/v1/apps/${APP}/executions?handler=index.rhai`);
  const [logged] = ((await found.json()) as { items: { id: string }[] }).items;
  await page.goto(`/apps/${APP}/executions/${logged?.id}`);
  await expect(page.getByText(`line ${PAYLOAD}`)).toBeVisible();
  await harmless(page);

  await page.goto(`/apps/${APP}/releases/2`);
  await expect(page.getByRole('cell', { name: `// ${PAYLOAD} again` })).toBeVisible();
  await harmless(page);

  await page.goto(`/apps/${APP}/secrets`);
  await page.getByRole('button', { name: 'New secret' }).click();
  await page.getByLabel('Name').fill(PAYLOAD);
  await page.getByLabel('Value').fill(PAYLOAD);
  await harmless(page);
  await page.keyboard.press('Escape');

  await page.keyboard.press('Control+k');
  await page.getByRole('combobox').fill(PAYLOAD);
  await harmless(page);
});

test('what an app answers is shown as text in the editor', async ({ page }) => {
  await page.goto(`/apps/${APP}/editor`);
  const code = page.getByRole('textbox', { name: 'index.rhai' });
  await expect(code).toContainText(PAYLOAD);
  await page.getByRole('button', { name: 'Send' }).click();
  await expect(page.getByLabel('Body of the answer')).toContainText(PAYLOAD);
  await harmless(page);
  await page.getByRole('tab', { name: /^Log/ }).click();
  await expect(page.getByText(PAYLOAD).first()).toBeVisible();
  await harmless(page);

  await code.click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(`let x = \`${PAYLOAD}\` \`${PAYLOAD}\`;\n`);
  await expect(page.getByRole('region', { name: 'Problems' })).toContainText('index.rhai:1');
  await page.getByRole('button', { name: 'Deploy…' }).click();
  await expect(page.getByRole('cell', { name: PAYLOAD }).first()).toBeVisible();
  await page.getByRole('dialog').getByRole('button', { name: 'Deploy' }).click();
  await expect(page.getByRole('alert').getByText(PAYLOAD).first()).toBeVisible();
  await harmless(page);
});

/** What each page is to show of it, and does not hide by accident. */
const SHOWN: Record<string, string[]> = {
  '/apps/[app]': [`thrown ${PAYLOAD}`, `note ${PAYLOAD}`],
  '/apps/[app]/audit': [`token ${PAYLOAD}`],
  '/apps/[app]/dead-letters': [`letter ${PAYLOAD}`],
  '/apps/[app]/editor': [`file ${PAYLOAD}.txt`],
  '/apps/[app]/events': [`topic ${PAYLOAD}`],
  '/apps/[app]/executions': [encodeURI(PAYLOAD)],
  '/apps/[app]/executions/[id]': [`thrown ${PAYLOAD}`],
  '/apps/[app]/kv/[collection]': [`"entry ${PAYLOAD.replaceAll('"', '\\"')}"`],
  '/apps/[app]/logs': [`line ${PAYLOAD}`],
  '/apps/[app]/releases': [`note ${PAYLOAD}`, ADDRESS],
  '/apps/[app]/releases/[number]': [`public/file ${PAYLOAD}.txt`],
  '/apps/[app]/schedules': [`schedule ${PAYLOAD}`],
  '/tokens': [`token ${PAYLOAD}`],
};

/** That nothing of it has become an element, wherever it is, and no address is a script. */
async function harmless(page: Page): Promise<void> {
  expect(page.url()).not.toContain('/login');
  // Both look into shadow roots, too. What the policy refuses fails each test by itself.
  await expect(page.locator('[data-xss]')).toHaveCount(0);
  await expect(page.locator('[href^="javascript:" i], [src^="javascript:" i]')).toHaveCount(0);
}

async function plant(page: Page, picloud: PiCloud): Promise<void> {
  const at = `/api/v1/apps/${APP}`;
  const headers = { origin: picloud.url };
  const send = page.request;
  const quoted = JSON.stringify(PAYLOAD);
  // A backtick string of Rhai, which the payload has none of.
  const text = (what: string) => `\`${what} ${PAYLOAD}\``;
  const files = {
    'picloud.toml': `[[schedules]]
name = ${JSON.stringify(`schedule ${PAYLOAD}`)}
cron = "0 8 * * *"
handler = "job.rhai"

[[triggers]]
on = "events.publish"
topic = ${JSON.stringify(`topic ${PAYLOAD}`)}
handler = "event.rhai"
attempts = 1

[[triggers]]
on = "queue.message"
queue = "mail"
handler = "letter.rhai"
attempts = 1

[config]
${quoted} = ${quoted}
`,
    'index.rhai': `// ${PAYLOAD}
fn get(req) {
    log::warn(${text('line')}, #{ ${quoted}: ${text('field')} });
    response::html(${text('body')}).header("x-hostile", "<img data-xss src=x>")
}
`,
    '[...rest].rhai': `fn get(req) {
    throw #{ code: ${text('code')}, message: ${text('thrown')}, service: ${text('service')} };
}
`,
    'event.rhai': `fn on_event(event) { log::error(${text('event')}); }\n`,
    'letter.rhai': `fn on_message(message) { throw ${text('letter')}; }\n`,
    'job.rhai': 'fn on_schedule(tick) {}\n',
    [`public/file ${PAYLOAD}.txt`]: PAYLOAD,
  };
  await deploy(page, picloud, APP, files, ADDRESS);
  const index = `${files['index.rhai']}// ${PAYLOAD} again\n`;
  await deploy(page, picloud, APP, { ...files, 'index.rhai': index }, `note ${PAYLOAD}`);

  const call = async (method: 'put' | 'post', path: string, data: unknown) => {
    const answer = await send[method](path, { headers, data });
    if (!answer.ok()) throw new Error(`${path}: ${await answer.text()}`);
    return answer;
  };
  const key = encodeURIComponent(PAYLOAD);
  await call('put', `${at}/kv/things/${key}`, JSON.stringify(`entry ${PAYLOAD}`));
  await call('put', `${at}/kv/orders/${key}`, JSON.stringify(`entry ${PAYLOAD}`));
  await call('put', `${at}/files/things/${key}`, PAYLOAD);
  await call('post', `${at}/events`, {
    topic: `topic ${PAYLOAD}`,
    payload: { [PAYLOAD]: `payload ${PAYLOAD}` },
  });
  await call('post', `${at}/queues/mail`, { payload: { [PAYLOAD]: PAYLOAD } });
  for (const path of ['/', `/deep/${encodeURI(PAYLOAD)}`])
    await call('post', `${at}/invoke`, { path });
  const token = { name: `token ${PAYLOAD}`, scope: 'admin', app: APP };
  const made = (await (await call('post', '/api/v1/tokens', token)).json()) as { secret: string };
  const authorization = `Bearer ${made.secret}`;
  await fetch(`${picloud.url}${at}/kv/things/by-token`, {
    method: 'PUT',
    headers: { authorization },
    body: '1',
  });
  await fetch(`${picloud.url}/api/v1/session`, {
    method: 'POST',
    headers: { ...headers, 'user-agent': PAYLOAD, 'content-type': 'application/json' },
    body: JSON.stringify({ name: NAME, password: PASSWORD }),
  });

  for (const [method, path, data] of [
    ['put', `/api/v1/apps/${key}`, undefined],
    ['put', SECRET, PAYLOAD],
    ['put', `${at}/kv/${key}/key`, '1'],
    ['put', `${at}/files/${key}/file`, PAYLOAD],
    ['post', `${at}/queues/${key}`, { payload: 1 }],
    ['post', `${at}/domains`, { domain: PAYLOAD }],
    ['put', `${at}/members/${key}`, { role: 'viewer' }],
  ] as const) {
    const refused = await send[method](path, { headers, data });
    expect(refused.status(), path).toBeGreaterThanOrEqual(400);
    expect(refused.status(), path).toBeLessThan(500);
  }
  await expect
    .poll(
      async () => {
        const answer = await send.get(`${at}/dead-letters`);
        return ((await answer.json()) as { items: unknown[] }).items.length;
      },
      { timeout: 30_000 },
    )
    .toBe(1);
}
