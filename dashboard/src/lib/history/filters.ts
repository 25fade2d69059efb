import type { operations } from '$lib/api/schema';

export type ExecutionQuery = NonNullable<operations['list_executions']['parameters']['query']>;

/** How far back a list goes, by the name in the address. */
export const SINCE: Record<string, { label: string; ms: number }> = {
  '15m': { label: 'Last 15 minutes', ms: 15 * 60_000 },
  '1h': { label: 'Last hour', ms: 3_600_000 },
  '1d': { label: 'Last 24 hours', ms: 86_400_000 },
  '7d': { label: 'Last 7 days', ms: 7 * 86_400_000 },
};

export const FILTERS = ['outcome', 'handler', 'release', 'text', 'since'] as const;

/** What the API is asked for, by an address's filters; those that cannot be are left out. */
export function query(search: URLSearchParams, now_ms: number): ExecutionQuery {
  const given = (name: string) => search.get(name)?.trim() || null;
  const [outcome, handler, text] = [given('outcome'), given('handler'), given('text')];
  const release = Number(given('release') ?? NaN);
  const since = SINCE[given('since') ?? ''];
  return {
    ...(outcome === null ? {} : { outcome }),
    ...(handler === null ? {} : { handler }),
    ...(text === null ? {} : { text }),
    ...(Number.isInteger(release) && release > 0 ? { release } : {}),
    ...(since === undefined ? {} : { from_ms: now_ms - since.ms }),
  };
}
