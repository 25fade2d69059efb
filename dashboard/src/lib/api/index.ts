/**
 * The one way to the server. Every call is typed by the API's own description,
 * and fails with a {@link Problem}.
 *
 *     const app = await ask(api(fetch).GET('/apps/{app}', { params: { path: { app: 'hello' } } }));
 */
import createClient from 'openapi-fetch';
import type { components, paths } from './schema';
import { Problem, problemOf } from './problem';

export { Problem, problemOf } from './problem';
export { pages, type Page } from './paging';
export type Schemas = components['schemas'];

type Fetch = typeof globalThis.fetch;

/** The API's operations, by `fetch`: in a `load` function it is SvelteKit's. */
export function api(fetch: Fetch = globalThis.fetch) {
  return createClient<paths>({
    baseUrl: '/api/v1',
    fetch: (request) => fetch(request),
    // A body that is bytes or text already goes as it is.
    bodySerializer: (body: unknown) =>
      body instanceof Blob || typeof body === 'string' ? body : JSON.stringify(body),
  });
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What is to be done when nobody is logged in (any more). */
let onUnauthorized: () => void = () => {};

/** Says what to do when an answer is 401; the shell shows the login. */
export function whenUnauthorized(then: () => void): void {
  onUnauthorized = then;
}

/** The answer's body. Throws a {@link Problem} for anything but success. */
export async function ask<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (thrown) {
    throw problemOf(thrown);
  }
  if (answer.response.ok) return answer.data as T;
  const problem = Problem.from(answer.response, answer.error);
  if (problem.code === 'unauthorized') onUnauthorized();
  throw problem;
}

/** The same, with `null` for what is not there. */
export async function find<T>(call: Promise<Answer<T>>): Promise<T | null> {
  try {
    return await ask(call);
  } catch (thrown) {
    if (thrown instanceof Problem && thrown.status === 404) return null;
    throw thrown;
  }
}
