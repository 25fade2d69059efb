import { expect, test } from 'vitest';
import { amount, limitName } from './limits';

test('limits are named, those that are not known too', () => {
  expect(limitName('kv_bytes')).toBe('Key-value');
  expect(limitName('http_requests')).toBe('http requests');
});

test('bytes are told as sizes, all else as counts', () => {
  expect(amount('release_bytes', 1_536)).toBe('1.5 KiB');
  expect(amount('outbox_rows', 1_536)).toBe('1.54k');
});
