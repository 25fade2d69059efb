import { expect, test } from 'vitest';
import { indented, member, mistake, preview } from './json';

test('numbers stay as they are written', () => {
  expect(indented('{"a":9007199254740993,"b":[1.0,-2e400],"c":{},"d":[]}')).toBe(
    '{\n  "a": 9007199254740993,\n  "b": [\n    1.0,\n    -2e400\n  ],\n  "c": {},\n  "d": []\n}',
  );
});

test('what is indented says the same', () => {
  const text = '{"a:{":"x, \\"y\\" }","":[{"b":null},[],"[",true],"é\\u0000":{"a":{}}}';
  expect(JSON.parse(indented(text))).toEqual(JSON.parse(text));
  expect(indented(indented(text))).toBe(indented(text));
});

test('text that is no JSON is left alone', () => {
  expect(indented('{"a":')).toBe('{"a":');
});

test('a member is found at the first depth only, as it is written', () => {
  const text = '{"key":"value","x":{"value":1},"value":{"n":9007199254740993, "value":2} ,"z":[3]}';
  expect(member(text, 'value')).toBe('{"n":9007199254740993, "value":2}');
  expect(member(text, 'z')).toBe('[3]');
  expect(member(text, 'n')).toBeNull();
  expect(member('{"value":7}', 'value')).toBe('7');
  expect(member('[{"value":7}]', 'value')).toBeNull();
});

test('mistakes are told', () => {
  expect(mistake('{"a":1}')).toBeNull();
  expect(mistake('')).toContain('JSON is wanted');
  expect(mistake('{a:1}')).toContain('not JSON yet');
});

test('previews are short', () => {
  expect(preview({ a: 1 })).toBe('{"a":1}');
  expect(preview('x'.repeat(50), 10)).toBe('"xxxxxxxxx…');
});
