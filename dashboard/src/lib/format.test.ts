import { expect, it } from 'vitest';
import { bytes, count, duration, relative, utc } from './format';

it('sizes have the unit that fits', () => {
  expect([0, 1023, 1024, 1536, 10 * 1024 ** 2, 3 * 1024 ** 5].map(bytes)).toEqual([
    '0 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '10 MiB',
    '3072 TiB',
  ]);
});

it('counts are short', () => {
  expect([0, 999, 1_000, 1_234, 999_949, 999_999, 12_345_678].map(count)).toEqual([
    '0',
    '999',
    '1k',
    '1.23k',
    '1000k',
    '1M',
    '12.3M',
  ]);
});

it('durations go from microseconds to days', () => {
  expect([0, 999, 1_500, 999_999, 1_500_000, 60e6, 90 * 60e6, 72 * 3600e6].map(duration)).toEqual([
    '0 µs',
    '999 µs',
    '1.5 ms',
    '1 s',
    '1.5 s',
    '1 min',
    '1 h 30 min',
    '3 d',
  ]);
});

it('moments are near or far', () => {
  const now = Date.UTC(2026, 10, 25, 12);
  expect(relative(now - 2_000, now)).toBe('just now');
  expect(relative(now - 61_000, now)).toMatch(/1\s?m/);
  expect(relative(now - 2 * 3_600_000, now)).toMatch(/2\s?h/);
  expect(relative(now - 90 * 86_400_000, now)).toContain('Aug');
  expect(utc(now)).toBe('2026-11-25 12:00:00 UTC');
});
