/** An app that has something of everything, for tests and pictures. */
import { expect, type APIRequestContext, type Page } from '@playwright/test';
import { tar, type File } from '../src/lib/tar';
import type { PiCloud } from './server';

const FILES: File[] = [
  {
    path: 'picloud.toml',
    content: `name = "shop"

[[triggers]]
on = "kv.set"
collection = "orders"
handler = "jobs/order.rhai"

[[triggers]]
on = "events.publish"
topic = "order.placed"
handler = "jobs/placed.rhai"

[[triggers]]
on = "queue.message"
queue = "mail"
handler = "jobs/mail.rhai"
attempts = 1

[[schedules]]
name = "digest"
cron = "0 8 * * MON-FRI"
timezone = "Europe/Berlin"
handler = "jobs/digest.rhai"

[[schedules]]
name = "clean-up"
cron = "*/15 * * * *"
timezone = "UTC"
handler = "jobs/digest.rhai"

[config]
CURRENCY = "EUR"
LIMITS = { items = 20, total = 50000 }
`,
  },
  {
    path: 'index.rhai',
    content: 'fn get(req) { #{ orders: kv::collection("orders").count() } }\n',
  },
  {
    path: 'total/[currency].rhai',
    content:
      '// What all orders are worth, in a currency that we know.\nconst RATES = #{ eur: 1.0, gbp: 0.87 };\n\nfn get(req) {\n  let rate = global::RATES[req.params.currency];\n  if rate == () {\n    log::warn("asked for an unknown currency", #{ currency: req.params.currency });\n    throw `no rate for ${req.params.currency}`;\n  }\n  #{ total: rate * 300 }\n}\n',
  },
  {
    path: 'jobs/order.rhai',
    content:
      'fn on_event(event) {\n  events::publish("order.placed", #{ order: event.key });\n  queue::named("mail").send(event.value);\n}\n',
  },
  {
    path: 'jobs/placed.rhai',
    content: 'fn on_event(event) { log::info(`placed ${event.payload}`); }\n',
  },
  {
    path: 'jobs/mail.rhai',
    content:
      'fn on_message(message) {\n  let to = message.payload.to;\n  if !to.contains("@") {\n    throw `${to} is no address`;\n  }\n  log::info("sent to " + to);\n}\n',
  },
  { path: 'jobs/digest.rhai', content: 'fn on_schedule(tick) { log::info("digest"); }\n' },
];

/** Makes the app `name` with entries, events, a dead letter, secrets and a domain. */
export async function seed(page: Page, picloud: PiCloud, name: string): Promise<void> {
  const at = `/api/v1/apps/${name}`;
  const headers = { origin: picloud.url };
  const send = page.request;
  await done(send.put(at, { headers }));
  const manifest = FILES.map((file) =>
    file.path === 'picloud.toml'
      ? { ...file, content: String(file.content).replace('"shop"', `"${name}"`) }
      : file,
  );
  const data = Buffer.from(await tar(manifest).arrayBuffer());
  const type = { ...headers, 'content-type': 'application/x-tar' };
  await done(send.post(`${at}/releases?note=first`, { headers: type, data }));
  const put = (path: string, value: unknown, query = '') =>
    done(send.put(`${at}/kv/${path}${query}`, { headers, data: JSON.stringify(value) }));
  await put('orders/1001', {
    to: 'ann@example.org',
    items: [{ name: 'pear', count: 3 }],
    cents: 180,
  });
  await put('orders/1002', { to: 'nobody', items: [{ name: 'quince', count: 1 }], cents: 120 });
  await put('customers/ann', { name: 'Ann', since: '2026-03-14', tags: ['regular', 'invoice'] });
  await put('customers/bob', { name: 'Bob', since: '2026-11-02', tags: [] });
  await put('sessions/6f1c', { user: 'ann' }, '?ttl=5400');
  for (const secret of ['MAIL_KEY', 'STRIPE_KEY'])
    await done(
      send.put(`${at}/secrets/${secret}`, {
        headers: { ...headers, 'content-type': 'text/plain' },
        data: 'not to be seen',
      }),
    );
  await done(send.post(`${at}/domains`, { headers, data: { domain: `${name}.example.org` } }));
  await done(send.post(`${at}/schedules/clean-up/pause`, { headers }));
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

async function done(call: ReturnType<APIRequestContext['put']>): Promise<void> {
  const answer = await call;
  expect(answer.ok(), `${answer.url()}: ${answer.ok() ? '' : await answer.text()}`).toBe(true);
}
