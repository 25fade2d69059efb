import { api, ask, Problem } from '$lib/api';
import { member } from '$lib/json';

/** An entry with its value as it is written, not as JavaScript reads it. */
export interface Entry {
  key: string;
  /** JSON. */
  value: string;
  expires_at_ms: number | null;
}

export interface Place {
  app: string;
  collection: string;
  key: string;
}

/** The entry at a place; null if there is none. */
export async function read(path: Place): Promise<Entry | null> {
  const call = api().GET('/apps/{app}/kv/{collection}/{key}', {
    params: { path },
    parseAs: 'text',
  });
  try {
    const text = await ask(call);
    const expires = member(text, 'expires_at_ms');
    return {
      key: path.key,
      value: member(text, 'value') ?? 'null',
      expires_at_ms: expires === null ? null : Number(expires),
    };
  } catch (thrown) {
    if (thrown instanceof Problem && thrown.status === 404) return null;
    throw thrown;
  }
}

/** Writes an entry. `ttl_s` is how many seconds it lives; null for ever. */
export async function write(path: Place, value: string, ttl_s: number | null): Promise<void> {
  const query = ttl_s === null ? {} : { ttl: ttl_s };
  // The text goes as it is: the client sends strings unchanged.
  const body = value as never;
  await ask(api().PUT('/apps/{app}/kv/{collection}/{key}', { params: { path, query }, body }));
}

/** Whether two readings found the same. */
export function same(one: Entry | null, other: Entry | null): boolean {
  return one?.value === other?.value && one?.expires_at_ms === other?.expires_at_ms;
}
