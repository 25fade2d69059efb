/** What an app has done lately, in stretches of time that fit a chart. */
import { api, ask, type Schemas } from '.';

type Client = ReturnType<typeof api>;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const TIME = { hour: '2-digit', minute: '2-digit' } as const;
const TIME_OF_DAY = new Intl.DateTimeFormat('en-GB', TIME);
const TIME_OF_WEEK = new Intl.DateTimeFormat('en-GB', { weekday: 'short', ...TIME });

/** How far back one looks, by the name in the address. */
export const RANGES = {
  '1h': {
    label: '1 hour',
    about: 'in the last hour',
    ms: HOUR_MS,
    step_ms: 2 * MINUTE_MS,
    /** A bucket's beginning, in the browser's zone. */
    moment: TIME_OF_DAY,
  },
  '1d': {
    label: '24 hours',
    about: 'in 24 hours',
    ms: 24 * HOUR_MS,
    step_ms: HOUR_MS / 2,
    moment: TIME_OF_WEEK,
  },
  '7d': {
    label: '7 days',
    about: 'in 7 days',
    ms: 168 * HOUR_MS,
    step_ms: 6 * HOUR_MS,
    moment: TIME_OF_WEEK,
  },
} as const;

export type Range = keyof typeof RANGES;

export function isRange(name: string | null): name is Range {
  return name !== null && Object.hasOwn(RANGES, name);
}

export interface Lately {
  range: Range;
  buckets: Schemas['Bucket'][];
  /** All of it as one: percentiles of parts do not add up. */
  total: Schemas['Bucket'];
}

/** What the app has done up to now. */
export async function lately(client: Client, app: string, range: Range): Promise<Lately> {
  const { ms, step_ms } = RANGES[range];
  const now_ms = Date.now();
  // Buckets begin at multiples of their length: so does the first.
  const from_ms = Math.floor((now_ms - ms) / step_ms) * step_ms + step_ms;
  const buckets = (step: number) =>
    ask(
      client.GET('/apps/{app}/stats', {
        params: { path: { app }, query: { from_ms, step_ms: step } },
      }),
    );
  // One whose length is the time of its beginning is one from then on.
  const [parts, whole] = await Promise.all([buckets(step_ms), buckets(from_ms)]);
  const nothing = { at_ms: from_ms, requests: 0, errors: 0, fuel: 0 };
  return { range, buckets: parts.buckets, total: whole.buckets[0] ?? nothing };
}

/** What the app has done in each of the last 24 hours. */
export async function lastDay(client: Client, app: string): Promise<Schemas['Bucket'][]> {
  const params = { path: { app }, query: { step_ms: HOUR_MS } };
  return (await ask(client.GET('/apps/{app}/stats', { params }))).buckets;
}
