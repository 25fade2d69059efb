import type { Schemas } from '$lib/api';

export type OwnerLimit = keyof Schemas['OwnerLimitOverrides'];

/** What all apps of an owner may use unless an admin says otherwise; `null` is without end. */
export const OWNER_LIMITS: Record<OwnerLimit, number | null> = {
  apps: 20,
  kv_bytes: 1_073_741_824,
  file_bytes: 4_294_967_296,
  release_bytes: 1_073_741_824,
  outbox_bytes: 268_435_456,
  requests_per_day: null,
  fuel_per_day: null,
};

const UNITS: [string, number][] = [
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
];

/** A limit as a field shows it: `1 GiB`, and to the byte what is no whole number of a unit. */
export function written(limit: string, value: number | null | undefined): string {
  if (value == null) return '';
  const unit = limit.endsWith('_bytes')
    ? UNITS.find(([, size]) => value >= size && value % size === 0)
    : undefined;
  return unit === undefined ? String(value) : `${value / unit[1]} ${unit[0]}`;
}

/** What a field asks for; `null` if that is no number. Sizes may have a unit: `2 GiB`. */
export function read(limit: string, text: string): number | null {
  const [, digits, unit] = /^([0-9]+)\s*(?:([KMGT])i?B?)?$/i.exec(text.trim()) ?? [];
  if (digits === undefined || (unit !== undefined && !limit.endsWith('_bytes'))) return null;
  const size = UNITS.find(([name]) => name[0] === unit?.toUpperCase())?.[1] ?? 1;
  const value = Number(digits) * size;
  return Number.isSafeInteger(value) ? value : null;
}

/** The departures that fields of text ask for; `null` if one of them is no number. */
export function overrides(fields: Record<string, string>): Schemas['OwnerLimitOverrides'] | null {
  const found: Record<string, number | null> = {};
  for (const [name, text] of Object.entries(fields)) {
    const value = text.trim() === '' ? null : read(name, text);
    if (value === null && text.trim() !== '') return null;
    found[name] = value;
  }
  return found;
}
