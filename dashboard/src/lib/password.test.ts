import { expect, it } from 'vitest';
import { strength } from './password';

it('length counts, in bytes, and the name does not belong in it', () => {
  expect(strength('', 'anna')).toMatchObject({ ok: false });
  expect(strength('123456789', 'anna')).toMatchObject({ ok: false, hint: '1 more to go.' });
  expect(strength('1234567890', 'anna')).toMatchObject({ ok: true, level: 1 });
  expect(strength('ööööö', 'anna')).toMatchObject({ ok: true });
  expect(strength('I am Anna, hello', 'anna')).toMatchObject({ ok: false });
  expect(strength('correct horse battery', 'anna')).toMatchObject({ ok: true, level: 3 });
  expect(strength('a'.repeat(1025), '')).toMatchObject({ ok: false });
});
