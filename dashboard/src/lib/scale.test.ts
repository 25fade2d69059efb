import { expect, it } from 'vitest';
import { alone, line, linear, ticks } from './scale';

it('ticks are round and reach the highest value', () => {
  expect(ticks(0)).toEqual([0, 1]);
  expect(ticks(7)).toEqual([0, 2, 4, 6, 8]);
  expect(ticks(0.3)).toEqual([0, 0.1, 0.2, 0.3]);
  expect(ticks(1_000_000)).toEqual([0, 250_000, 500_000, 750_000, 1_000_000]);
  for (const max of [1, 3, 17, 99, 12_345, 1e9]) {
    expect(ticks(max).at(-1)).toBeGreaterThanOrEqual(max);
    expect(ticks(max).length).toBeLessThanOrEqual(6);
  }
});

it('a scale maps ends to ends', () => {
  const y = linear([0, 10], [100, 0]);
  expect([0, 5, 10].map(y)).toEqual([100, 50, 0]);
  expect(linear([3, 3], [0, 10])(3)).toBe(5);
});

it('a line has gaps where nothing is known', () => {
  const points = [1, 2, null, 3].map((y, x) => ({ x, y }));
  expect(line(points)).toBe('M0 1L1 2M3 3');
});

it('values with none beside them are found', () => {
  expect(alone([1, null, 2, 3, null, 4])).toEqual([0, 5]);
  expect(alone([])).toEqual([]);
});
