import { expect, test } from 'vitest';
import { parseUnified } from './diff';
import { excerpt } from './excerpt';
import { query } from './filters';
import { fieldsOf } from './log';
import { previewUrl } from './preview';
import { Window } from './window';

test('a unified diff becomes lines with numbers', () => {
  const diff = '--- a/x\n+++ b/x\n@@ -3,3 +3,3 @@ fn get\n a\n-b\n+c\n d\n\\ No newline at end\n';
  expect(parseUnified(diff)).toEqual([
    { kind: 'gap', text: 'fn get', before: null, after: null },
    { kind: 'same', text: 'a', before: 3, after: 3 },
    { kind: 'removed', text: 'b', before: 4, after: null },
    { kind: 'added', text: 'c', before: null, after: 4 },
    { kind: 'same', text: 'd', before: 5, after: 5 },
  ]);
});

test('a window keeps the newest, and counts what it drops', () => {
  const window = new Window<number>(3);
  window.add([1, 2]);
  window.add([3, 4]);
  expect(window.items.map(({ value }) => value)).toEqual([2, 3, 4]);
  expect(window.dropped).toBe(1);
  window.add([5, 6, 7, 8, 9]);
  expect(window.items.map(({ value }) => value)).toEqual([7, 8, 9]);
  expect(window.dropped).toBe(6);
  expect(new Set(window.items.map(({ key }) => key)).size).toBe(3);
});

test('an excerpt is around its line', () => {
  expect(excerpt('a\nb\nc\nd', 2, 1).map(({ number, text }) => `${number}${text}`)).toEqual([
    '1a',
    '2b',
    '3c',
  ]);
  expect(excerpt('a', 7)).toEqual([]);
});

test('filters of an address are those of the API', () => {
  const search = new URLSearchParams('outcome=failed&release=3&since=1h&handler=%20');
  expect(query(search, 4_000_000)).toEqual({ outcome: 'failed', release: 3, from_ms: 400_000 });
  expect(query(new URLSearchParams('release=x&since=never'), 0)).toEqual({});
});

test('fields are shown whatever they are', () => {
  expect(fieldsOf('{"a":"x","b":[1]}')).toEqual([
    ['a', 'x'],
    ['b', '[1]'],
  ]);
  expect(fieldsOf('nonsense')).toEqual([['fields', 'nonsense']]);
  expect(fieldsOf(null)).toEqual([]);
});

test('a preview stands before the name of its app', () => {
  expect(previewUrl('http://shop.localhost:8080/', 2)).toBe('http://r2--shop.localhost:8080/');
});
