import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { api, ask, find, pages, Problem, problemOf, whenUnauthorized } from '.';

/** A `fetch` that always answers so, and keeps what it was asked. */
function answering(status: number, body: unknown, headers: Record<string, string> = {}) {
  const asked: Request[] = [];
  const fetch = async (request: RequestInfo | URL) => {
    asked.push(request as Request);
    return new Response(status === 204 ? null : JSON.stringify(body), {
      status,
      headers: { 'content-type': 'application/json', ...headers },
    });
  };
  return { fetch, asked };
}

// Outside of a browser addresses have to be whole.
const OriginalRequest = globalThis.Request;
globalThis.Request = class extends OriginalRequest {
  constructor(input: RequestInfo | URL, init?: RequestInit) {
    super(
      typeof input === 'string' && input.startsWith('/') ? `http://localhost${input}` : input,
      init,
    );
  }
};

const app = { params: { path: { app: 'hello' } } };

describe('the API', () => {
  it('has a client that is made from the newest description', () => {
    const made = join(mkdtempSync(join(tmpdir(), 'schema-')), 'schema.d.ts');
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    const command: string = scripts.generate.replace('src/lib/api/schema.d.ts', made);
    execFileSync('npx', command.split(' '));
    const fresh = readFileSync(made, 'utf8');
    expect(readFileSync('src/lib/api/schema.d.ts', 'utf8') === fresh, 'npm run generate').toBe(
      true,
    );
  }, 60_000);

  it('answers with the body', async () => {
    const { fetch, asked } = answering(200, { slug: 'hello' });
    expect(await ask(api(fetch).GET('/apps/{app}', app))).toEqual({ slug: 'hello' });
    expect(new URL(asked[0]!.url).pathname).toBe('/api/v1/apps/hello');
  });

  it('fails with what the server says', async () => {
    const body = {
      type: '/.picloud/errors/rate_limited',
      status: 429,
      code: 'rate_limited',
      title: 'Too Many Requests',
      detail: 'too many requests; try again in 3 s',
    };
    const { fetch } = answering(429, body, { 'retry-after': '3' });
    const problem = await ask(api(fetch).GET('/apps/{app}', app)).catch(problemOf);
    expect(problem).toMatchObject({
      status: 429,
      code: 'rate_limited',
      detail: 'Too many requests; try again in 3 s.',
      link: '/.picloud/errors/rate_limited',
      retryAfterS: 3,
    });
  });

  it('links to nothing but its own pages', async () => {
    for (const type of ['https://example.org/', 'javascript:alert(1)', '/.picloud/errors/../x']) {
      const problem = Problem.from(new Response(null, { status: 400 }), {
        type,
        code: 'a',
        title: 'b',
        detail: 'c',
      });
      expect(problem.link).toBeNull();
    }
  });

  it('makes a problem of an answer that is none', async () => {
    const { fetch } = answering(502, 'bad gateway');
    const problem = await ask(api(fetch).GET('/apps/{app}', app)).catch(problemOf);
    expect(problem).toMatchObject({ status: 502, code: 'failed' });
    const cut = async () => {
      throw new TypeError('Failed to fetch');
    };
    expect(await ask(api(cut).GET('/apps/{app}', app)).catch(problemOf)).toMatchObject({
      code: 'unreachable',
    });
  });

  it('tells absence from failure', async () => {
    const problem = { code: 'not_found', title: 'Not Found', detail: 'gone' };
    expect(await find(api(answering(404, problem).fetch).GET('/apps/{app}', app))).toBeNull();
    await expect(
      find(api(answering(403, problem).fetch).GET('/apps/{app}', app)),
    ).rejects.toThrow();
  });

  it('asks for the login when nobody is logged in', async () => {
    let asked = 0;
    whenUnauthorized(() => asked++);
    const { fetch } = answering(401, {
      code: 'unauthorized',
      title: 'Unauthorized',
      detail: 'log in',
    });
    await expect(ask(api(fetch).GET('/apps/{app}', app))).rejects.toThrow();
    const wrong = answering(401, {
      code: 'wrong_credentials',
      title: 'Unauthorized',
      detail: 'no',
    });
    await expect(ask(api(wrong.fetch).GET('/apps/{app}', app))).rejects.toThrow();
    expect(asked).toBe(1);
  });
});

describe('pages', () => {
  async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
    const found: T[] = [];
    for await (const item of items) found.push(item);
    return found;
  }

  it('go on through an empty page', async () => {
    const list = [
      { items: [1, 2], next: 'a' },
      { items: [], next: 'b' },
      { items: [3], next: null },
    ];
    const asked: unknown[] = [];
    const found = await all(
      pages(async (after) => {
        asked.push(after);
        return list[asked.length - 1]!;
      }),
    );
    expect(found).toEqual([1, 2, 3]);
    expect(asked).toEqual([undefined, 'a', 'b']);
  });

  it('end at the limit, and where a cursor stands still', async () => {
    expect(await all(pages(async () => ({ items: [1], next: Math.random() }), 5))).toHaveLength(5);
    expect(await all(pages(async () => ({ items: [1], next: 'same' })))).toEqual([1, 1]);
  });
});
