/** Numbers, sizes and times as people read them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A size: `1.5 KiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : digits(value)} ${UNITS[unit]}`;
}

/** A count, short: `1.2k`, `3.4M`. */
export function count(value: number): string {
  const steps: [number, string][] = [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  // 999,950 rounds to 1.0M, so the step is taken a little early.
  const step = steps.find(([size]) => Math.abs(value) >= size * 0.99995);
  return step === undefined ? digits(value) : digits(value / step[0]) + step[1];
}

/** How long: from microseconds to days. */
export function duration(microseconds: number): string {
  const us = Math.max(0, microseconds);
  if (us < 1_000) return `${Math.round(us)} µs`;
  if (us < 999_500) return `${digits(us / 1e3)} ms`;
  if (us < 59_950_000) return `${digits(us / 1e6)} s`;
  const minutes = Math.round(us / 60e6);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60)
    return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ''}`;
  return `${Math.round(minutes / 1440)} d`;
}

// Making one of these takes a hundred times as long as using it, and a page has many times to show.
const DAY = new Intl.DateTimeFormat('en', { dateStyle: 'medium' });
const LOCAL = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'narrow' });

/** A moment, as far as it is from now: `3 min ago`. */
export function relative(at_ms: number, now_ms: number): string {
  const seconds = Math.round((at_ms - now_ms) / 1_000);
  const size = Math.abs(seconds);
  if (size < 5) return 'just now';
  if (size < 60) return RELATIVE.format(seconds, 'second');
  if (size < 3_600) return RELATIVE.format(Math.trunc(seconds / 60), 'minute');
  if (size < 86_400) return RELATIVE.format(Math.trunc(seconds / 3_600), 'hour');
  if (size < 30 * 86_400) return RELATIVE.format(Math.trunc(seconds / 86_400), 'day');
  return DAY.format(at_ms);
}

/** A moment in the browser's zone: `25 Nov 2026, 17:19:11`. */
export function local(at_ms: number): string {
  return LOCAL.format(at_ms);
}

/** A moment in UTC: `2026-11-25 17:19:11 UTC`. */
export function utc(at_ms: number): string {
  return `${new Date(at_ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Three significant digits at most, and no zeros for show. */
function digits(value: number): string {
  const size = Math.abs(value);
  return String(Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)));
}
