/** Limits as people read them. */
import { bytes, count } from '$lib/format';

/** What of a limit's amount is used up before it is warned of, in percent: the server's own warnings begin there. */
export const NEAR = 80;

const WORDS: Record<string, string> = {
  apps: 'Apps',
  file_bytes: 'Files',
  fuel_per_day: 'Fuel per day',
  kv_bytes: 'Key-value',
  outbox_bytes: 'Events, their size',
  outbox_rows: 'Events and deliveries',
  release_bytes: 'Releases',
  requests_per_day: 'Requests per day',
};

/** What a limit is of: `Key-value`. */
export function limitName(limit: string): string {
  return WORDS[limit] ?? limit.replaceAll('_', ' ');
}

/** So much of what the limit is of: `1.5 KiB`, `20`. */
export function amount(limit: string, value: number): string {
  return limit.endsWith('_bytes') ? bytes(value) : count(value);
}
