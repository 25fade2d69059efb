import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  apply,
  conflicts,
  content,
  discard,
  drafted,
  edits,
  load,
  MAX_RELEASE_BYTES,
  pathMistake,
  save,
  uploadMistake,
  type Draft,
} from './draft';

const ORIGINALS = [
  { path: 'a.rhai', hash: 'A1', content: '1' },
  { path: 'b.rhai', hash: 'B1', content: '2' },
];

function draft(of: Draft['edits']): Draft {
  return { version: 1, base: 1, edits: of };
}

function storage() {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
    key: (index: number) => [...kept.keys()][index] ?? null,
    get length() {
      return kept.size;
    },
  };
}

const APP = { user: 'anna', app: 'app' };

test('a draft is what differs, and makes the files again', () => {
  const files = [
    { path: 'b.rhai', content: '2!' },
    { path: 'c.bin', content: new Uint8Array([0, 255]) },
  ];
  const found = edits(ORIGINALS, files, null);
  expect(Object.keys(found).sort()).toEqual(['a.rhai', 'b.rhai', 'c.bin']);
  const kept = storage();
  save(APP, draft(found), kept);
  expect(apply(ORIGINALS, load(APP, kept))).toEqual(files);
});

test('a draft is its writer’s, and theirs alone are discarded', () => {
  const kept = storage();
  kept.setItem('theme', 'dark');
  const mine = draft({ 'a.rhai': { to: { text: 'mine' }, from: 'A1' } });
  for (const app of ['shop', 'app']) save({ user: 'ann', app }, mine, kept);
  save(APP, draft({ 'a.rhai': { to: null, from: 'A1' } }), kept);
  expect(load({ user: 'ann', app: 'app' }, kept)).toEqual(mine);
  expect(drafted('ann', kept)).toEqual(['app', 'shop']);
  discard('ann', drafted('ann', kept), kept);
  expect(drafted('ann', kept)).toEqual([]);
  expect(drafted('anna', kept)).toEqual(['app']);
  expect(kept.getItem('theme')).toBe('dark');
});

test('a draft that changes nothing is forgotten, and one that cannot be read is none', () => {
  const kept = storage();
  save(APP, draft({ 'a.rhai': { to: null, from: 'A1' } }), kept);
  save(APP, draft(edits(ORIGINALS, apply(ORIGINALS, null), null)), kept);
  expect(load(APP, kept)).toBeNull();
  kept.setItem('draft:anna:app', '{');
  expect(load(APP, kept)).toBeNull();
});

test('what both a draft and a later release have changed is a conflict', () => {
  const mine = edits(ORIGINALS, [{ path: 'a.rhai', content: 'mine' }, ...ORIGINALS.slice(1)], null);
  const later = [{ path: 'a.rhai', hash: 'A2', content: 'theirs' }, ...ORIGINALS.slice(1)];
  expect(conflicts(ORIGINALS, draft(mine))).toEqual([]);
  expect(conflicts(later, draft(mine))).toEqual(['a.rhai']);
  // Typing on does not make it one of the later release.
  const more = edits(later, [{ path: 'a.rhai', content: 'mine too' }], draft(mine));
  expect(conflicts(later, draft(more))).toContain('a.rhai');
});

test('bytes that are UTF-8 are text', () => {
  expect(content(new TextEncoder().encode('Größe'))).toBe('Größe');
  expect(content(new Uint8Array([0xff]))).toEqual(new Uint8Array([0xff]));
  expect(content(new Uint8Array([65, 0]))).toEqual(new Uint8Array([65, 0]));
});

test('paths that cannot be say why', () => {
  const taken = ['index.rhai', 'posts/[id].rhai'];
  const long = 'ö'.repeat(51);
  for (const wrong of [
    '/a',
    'a/',
    'a//b',
    '../a',
    'a\\b',
    'index.rhai',
    'posts',
    'index.rhai/x',
    long,
  ])
    expect(pathMistake(wrong, taken), wrong).not.toBeNull();
  for (const right of ['', 'posts/new.rhai', 'public/style.css', 'a..b', 'ö'.repeat(50)])
    expect(pathMistake(right, taken), right).toBeNull();
});

test('what is uploaded has a path that can be, and leaves the release its size', () => {
  const files = [
    { path: 'a/b.rhai', content: 'ö' },
    { path: 'c.bin', content: new Uint8Array(100) },
  ];
  expect(uploadMistake('a', 1, files)).toContain('Give it another name');
  expect(uploadMistake('new.bin', MAX_RELEASE_BYTES - 102, files)).toBeNull();
  expect(uploadMistake('new.bin', MAX_RELEASE_BYTES - 101, files)).toContain('may have 10 MiB');
  // It takes the place of the one that is there.
  expect(uploadMistake('c.bin', MAX_RELEASE_BYTES - 2, files)).toBeNull();
});

test('the size that a release may have is the one that the documentation has', () => {
  const guide = readFileSync('../docs/operations/limits.md', 'utf8');
  expect(guide).toContain(`Fixed: ${MAX_RELEASE_BYTES / 2 ** 20} MiB and 1,000 files per release`);
});
