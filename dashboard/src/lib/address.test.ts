import { expect, it } from 'vitest';
import { destination, loginFor } from './address';

it('a login comes back to where it was asked for', () => {
  const address = loginFor(new URL('http://localhost/apps/a/logs?level=warn'));
  expect(destination(new URL(address, 'http://localhost').searchParams.get('to'))).toBe(
    '/apps/a/logs?level=warn',
  );
  expect(loginFor(new URL('http://localhost/'))).toBe('/login');
});

it('a login leads to no other origin', () => {
  for (const to of [
    null,
    '',
    'https://example.org/',
    '//example.org',
    '/\\example.org',
    'javascript:alert(1)',
    'apps',
  ]) {
    expect(destination(to), String(to)).toBe('/');
  }
});
