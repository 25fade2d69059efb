import { expect, test } from 'vitest';
import { asked, candidates, documented } from './completion';
import { parse, sdk } from './sdk';

const namespaces = await sdk();

function names(text: string): string[] {
  const what = asked(text, namespaces);
  return what === null ? [] : candidates(what, namespaces).map(({ name }) => name);
}

test('a page of the reference is understood', () => {
  const { name, doc, definitions } = parse(
    '# kv\n\nValues.\n\n- `kv::` list\n\n## `kv::collection`\n\n`kv::collection(name) -> collection`\n\nA collection.\n\n```rhai\nlet x = 1;\n```\n',
  );
  expect([name, doc]).toEqual(['kv', 'Values.']);
  expect(definitions).toEqual([
    {
      name: 'collection',
      of: 'kv',
      kind: 'function',
      signatures: ['kv::collection(name) -> collection'],
      doc: 'A collection.',
      example: 'let x = 1;',
    },
  ]);
});

test('every definition of the reference has a signature and says what it does', () => {
  const all = namespaces.flatMap(({ definitions }) => definitions);
  expect(all.length).toBeGreaterThan(100);
  const lacking = all.filter(({ signatures, doc }) => signatures.length === 0 || doc === '');
  expect(lacking.map(({ of, name }) => `${of}.${name}`)).toEqual([]);
});

test('functions follow a namespace, and methods what they are of', () => {
  expect(names('kv::')).toEqual(['collection']);
  expect(names('let users = kv::collection("users");\nusers.')).toContain('incr');
  expect(names('kv::collection("a").')).toContain('get_or');
  expect(names('kv::collection("a").')).not.toContain('cookie');
  expect(names('let a = kv::collection("a"); let b = a; b.')).toContain('incr');
  expect(names('let a = a; a.')).toContain('cookie');
  expect(names('response::text("a").st')).toContain('status');
  expect(names('fn get(req) {\n    req.')).toContain('query');
});

test('strings and comments complete nothing', () => {
  expect(asked('let a = "kv::', namespaces)).toBeNull();
  expect(asked('// kv::', namespaces)).toBeNull();
});

test('what stands under the pointer is documented', () => {
  const text = 'let users = kv::collection("users");';
  expect(documented(text, text.indexOf('collection') + 2, namespaces)?.what).toMatchObject({
    name: 'collection',
    of: 'kv',
  });
  expect(documented(text, text.indexOf('kv') + 1, namespaces)?.what).toMatchObject({ name: 'kv' });
  expect(documented(text, 0, namespaces)).toBeNull();
});
