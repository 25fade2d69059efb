import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { OWNER_LIMITS, overrides } from './limits';

it('an empty field is the default, and what is no number is refused', () => {
  expect(overrides({ apps: '5', kv_bytes: '' })).toEqual({ apps: 5, kv_bytes: null });
  expect(overrides({ apps: ' 7 ' })).toEqual({ apps: 7 });
  for (const text of ['-1', '1.5', '1e3', 'many', '99999999999999999999'])
    expect(overrides({ apps: text })).toBeNull();
});

it('the defaults are those that the documentation has', () => {
  const guide = readFileSync('../docs/operations/limits.md', 'utf8');
  const owner = guide.slice(guide.indexOf('## Limits of an owner'));
  for (const [name, value] of Object.entries(OWNER_LIMITS)) {
    const said = new RegExp(`^\\| \`${name}\` \\| ([^|]+) \\|`, 'm').exec(owner)?.[1];
    expect(said, name).toBe(value === null ? 'none' : value.toLocaleString('en-US'));
  }
});
