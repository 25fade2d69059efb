const MIN_BYTES = 10;
const MAX_BYTES = 1_024;

export interface Strength {
  /** Whether the server takes it. */
  ok: boolean;
  /** From 0 to 3. */
  level: number;
  hint: string;
}

/** What the server would say to a password, and how long it is as passwords go. */
export function strength(password: string, name: string): Strength {
  const size = new TextEncoder().encode(password).length;
  if (size === 0)
    return { ok: false, level: 0, hint: 'At least 10 characters. A few words make a good one.' };
  if (size < MIN_BYTES) return { ok: false, level: 0, hint: `${MIN_BYTES - size} more to go.` };
  if (size > MAX_BYTES) return { ok: false, level: 0, hint: 'That is more than 1,024 bytes.' };
  if (name !== '' && password.toLowerCase().includes(name.toLowerCase())) {
    return { ok: false, level: 0, hint: 'It must not hold your name.' };
  }
  if (size < 14) return { ok: true, level: 1, hint: 'Long enough. Another word makes it strong.' };
  if (size < 20) return { ok: true, level: 2, hint: 'Strong.' };
  return { ok: true, level: 3, hint: 'Very strong.' };
}
