import { expect, test } from 'vitest';
import { changes } from './changes';

const of = (content: string) => [{ path: 'a', hash: '', content }];

test('what is the same is left out', () => {
  expect(changes(of('1\n'), [{ path: 'a', content: '1\n' }])).toEqual([]);
});

test('a line that changes is removed and added, with its neighbours', () => {
  const before = Array.from({ length: 20 }, (_, index) => `line ${index + 1}`);
  const after = before.with(9, 'another');
  const [file] = changes(of(before.join('\n')), [{ path: 'a', content: after.join('\n') }]);
  expect(file?.change).toBe('changed');
  const changed = file?.lines?.filter(({ kind }) => kind !== 'same');
  expect(changed?.map(({ kind, text }) => [kind, text])).toEqual([
    ['gap', ''],
    ['removed', 'line 10'],
    ['added', 'another'],
  ]);
  const same = file?.lines?.filter(({ kind }) => kind === 'same').map(({ after }) => after);
  expect(same).toEqual([7, 8, 9, 11, 12, 13]);
});

test('files come, go and are no text', () => {
  const bytes = new Uint8Array([0]);
  expect(
    changes(of('old\n'), [{ path: 'b', content: bytes }]).map(({ path, change, lines }) => [
      path,
      change,
      lines?.map(({ text }) => text) ?? null,
    ]),
  ).toEqual([
    ['a', 'removed', ['old']],
    ['b', 'added', null],
  ]);
});

test('the break at the end of a file is no line', () => {
  const lines = (old: string, now: string) =>
    changes(of(old), [{ path: 'a', content: now }])[0]?.lines?.map(({ kind, text }) => kind + text);
  expect(lines('1\n', '1\n2')).toEqual(['same1', 'added2']);
  expect(lines('1\n2\n', '1\n')).toEqual(['same1', 'removed2']);
  expect(lines('1\n', '1')).not.toContain('removed');
});
