import { expect, test } from 'vitest';
import { headersOf, readable } from './request';
import { rows } from './tree';

test('headers are lines with a colon', () => {
  expect(headersOf('Accept: text/html\n\nno header\nx-a:b:c ')).toEqual([
    ['Accept', 'text/html'],
    ['x-a', 'b:c'],
  ]);
});

test('bodies are readable', () => {
  expect(readable({ body: '{"a":1}' })).toBe('{\n  "a": 1\n}');
  expect(readable({ body: '{no' })).toBe('{no');
  expect(readable({ body_base64: 'AP8=' })).toBe('2 bytes that are no text');
});

test('folders come first, and closed ones hide what they have', () => {
  const paths = ['index.rhai', 'public/a/b.css', 'public/c.css'];
  const shown = (closed: string[]) => rows(paths, closed).map(({ path, depth }) => [path, depth]);
  expect(shown([])).toEqual([
    ['public', 0],
    ['public/a', 1],
    ['public/a/b.css', 2],
    ['public/c.css', 1],
    ['index.rhai', 0],
  ]);
  expect(shown(['public'])).toEqual([
    ['public', 0],
    ['index.rhai', 0],
  ]);
});
