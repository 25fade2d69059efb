import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { OWNER_LIMITS, overrides, read, written } from './limits';

it('an empty field is the default, and what is no number is refused', () => {
  expect(overrides({ apps: '5', kv_bytes: '' })).toEqual({ apps: 5, kv_bytes: null });
  expect(overrides({ apps: ' 7 ' })).toEqual({ apps: 7 });
  for (const text of ['-1', '1.5', '1e3', 'many', '99999999999999999999'])
    expect(overrides({ apps: text })).toBeNull();
});

it('sizes are written and read with their units, and to the byte where they need it', () => {
  expect(written('kv_bytes', 2 ** 30)).toBe('1 GiB');
  expect(written('kv_bytes', 1_500)).toBe('1500');
  expect(written('apps', 1_024)).toBe('1024');
  expect(written('apps', null)).toBe('');
  for (const text of ['2 GiB', '2gib', '2G', '2048 MiB', String(2 ** 31)])
    expect(read('kv_bytes', text), text).toBe(2 ** 31);
  expect(read('apps', '2 GiB')).toBeNull();
});

it('the defaults are those that the documentation has', () => {
  const guide = readFileSync('../docs/operations/limits.md', 'utf8');
  const owner = guide.slice(guide.indexOf('## Limits of an owner'));
  for (const [name, value] of Object.entries(OWNER_LIMITS)) {
    const said = new RegExp(`^\\| \`${name}\` \\| ([^|]+) \\|`, 'm').exec(owner)?.[1];
    expect(said, name).toBe(value === null ? 'none' : value.toLocaleString('en-US'));
  }
});
