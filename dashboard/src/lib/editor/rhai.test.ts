import { EditorState } from '@codemirror/state';
import { ensureSyntaxTree } from '@codemirror/language';
import { expect, test } from 'vitest';
import { rhai } from './rhai';

/** The words of the text with the kinds that the language gives them. */
function kinds(doc: string): [string, string][] {
  const state = EditorState.create({ doc, extensions: rhai });
  const found: [string, string][] = [];
  ensureSyntaxTree(state, doc.length, 5_000)?.iterate({
    enter: ({ from, to, name }) => {
      if (name !== 'Document') found.push([state.sliceDoc(from, to), name]);
    },
  });
  return found;
}

test('words, strings and comments are what they are', () => {
  const found = new Map(kinds('let a = kv::get("x"); // end\nif true { 0x1f }'));
  expect(found.get('let')).toBe('keyword');
  expect(found.get('kv')).toBe('namespace');
  expect(found.get('"x"')).toBe('string');
  expect(found.get('// end')).toBe('comment');
  expect(found.get('true')).toBe('atom');
  expect(found.get('0x1f')).toBe('number');
});

test('code inside of a back-quoted string is code, over lines', () => {
  const found = kinds('let t = `a ${ if x { "}" } }\nb`;\nreturn 1');
  expect(found).toContainEqual(['if', 'keyword']);
  expect(found).toContainEqual(['b`', 'string']);
  expect(found).toContainEqual(['return', 'keyword']);
});

test('block comments nest', () => {
  expect(kinds('/* a /* b */ let */ let')).toContainEqual(['let', 'keyword']);
  expect(kinds('/* a /* b */ let */').map(([, kind]) => kind)).not.toContain('keyword');
});
