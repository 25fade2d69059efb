import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tar } from './tar';

it('makes what tar reads', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tar-'));
  const deep = `${'a'.repeat(90)}/${'b'.repeat(60)}/ö.rhai`;
  const files = [
    { path: 'index.rhai', content: '"grüße"' },
    { path: 'posts/[id].rhai', content: 'x'.repeat(1024) },
    { path: 'empty', content: '' },
    { path: deep, content: new Uint8Array([0, 255, 10]) },
  ];
  writeFileSync(join(folder, 'a.tar'), new Uint8Array(await tar(files).arrayBuffer()));
  execFileSync('tar', ['-xf', 'a.tar'], { cwd: folder });
  for (const { path, content } of files) {
    expect(new Uint8Array(readFileSync(join(folder, path)))).toEqual(
      typeof content === 'string' ? new TextEncoder().encode(content) : content,
    );
  }
  expect(() => tar([{ path: 'a'.repeat(300), content: '' }])).toThrow();
});
