import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { isWhole } from './backup';

const ROWS = `${'{"row":["app","guestbook"]}\n'.repeat(2_000)}`;
const END = '{"end":{"rows":2000,"sha256":"00"}}\n';

function stream(bytes: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new Blob([new Uint8Array(bytes)]).stream();
}

it('a backup is whole with the line that ends it', async () => {
  expect(await isWhole(stream(gzipSync(ROWS + END)))).toBe(true);
});

it('one that lacks it, or that breaks off, is not', async () => {
  expect(await isWhole(stream(gzipSync(ROWS)))).toBe(false);
  expect(await isWhole(stream(gzipSync(ROWS + END.trimEnd())))).toBe(false);
  expect(await isWhole(stream(gzipSync(`${END}${ROWS}`)))).toBe(false);
  const packed = gzipSync(ROWS + END);
  await expect(isWhole(stream(packed.subarray(0, packed.length - 9)))).rejects.toThrow();
});
