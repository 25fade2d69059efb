import type { api, Schemas } from '.';
import { ask } from '.';

/**
 * What an app has used. The API's description gives two things the name `Usage`,
 * and this is the one that lost; it goes when the description tells them apart.
 */
export interface AppUsage {
  from: Schemas['Day'];
  /** The days on which anything was used, the earliest first. */
  days: Schemas['DayUsage'][];
  total: Schemas['Counters'];
  limits: Schemas['Bounded'][];
  warnings: string[];
}

/** What the app has used in the last days, today included, in UTC. */
export async function usage(
  client: ReturnType<typeof api>,
  app: string,
  days: number,
): Promise<AppUsage> {
  const call = client.GET('/apps/{app}/usage', { params: { path: { app }, query: { days } } });
  return (await ask(call)) as unknown as AppUsage;
}

/** The last days by their names in UTC, `2026-11-25`, the earliest first. */
export function daysUntil(now_ms: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    new Date(now_ms - (count - 1 - index) * 86_400_000).toISOString().slice(0, 10),
  );
}
