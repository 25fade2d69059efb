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

/** The departures that fields of text ask for; `null` if one of them is no number. */
export function overrides(fields: Record<string, string>): Schemas['OwnerLimitOverrides'] | null {
  const found: Record<string, number | null> = {};
  for (const [name, text] of Object.entries(fields)) {
    const value = Number(text);
    if (!/^[0-9]*$/.test(text.trim()) || !Number.isSafeInteger(value)) return null;
    found[name] = text.trim() === '' ? null : value;
  }
  return found;
}
