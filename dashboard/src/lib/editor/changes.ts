/** What a deploy would change: the draft beside the active release. */
import { Chunk } from '@codemirror/merge';
import { Text } from '@codemirror/state';
import { withContext, type DiffLine, type Run } from '$lib/history/diff';
import type { File } from '$lib/tar';
import { same, type Content, type Original } from './draft';

export interface Changed {
  path: string;
  change: 'added' | 'removed' | 'changed';
  /** `null` for what is no text. */
  lines: DiffLine[] | null;
}

/** The files that differ, in the order of their paths. */
export function changes(originals: Original[], files: File[]): Changed[] {
  const before = new Map(originals.map(({ path, content }) => [path, content]));
  const after = new Map(files.map(({ path, content }) => [path, content]));
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((path): Changed[] => {
    const [old, now] = [before.get(path), after.get(path)];
    if (old !== undefined && now !== undefined && same(old, now)) return [];
    const change = old === undefined ? 'added' : now === undefined ? 'removed' : 'changed';
    return [{ path, change, lines: difference(old ?? '', now ?? '') }];
  });
}

function difference(old: Content, now: Content): DiffLine[] | null {
  if (typeof old !== 'string' || typeof now !== 'string') return null;
  const [a, b] = [Text.of(old.split('\n')), Text.of(now.split('\n'))];
  if (old === '' || now === '') {
    // The lines of a file that is all new or all gone.
    const kind = old === '' ? 'added' : 'removed';
    return linesOf(old || now).map((text, index) => ({
      kind,
      text,
      before: kind === 'removed' ? index + 1 : null,
      after: kind === 'added' ? index + 1 : null,
    }));
  }
  const runs = Chunk.build(a, b, { scanLimit: 5_000, timeout: 500 }).map((chunk): Run => ({
    beforeFrom: line(a, chunk.fromA),
    beforeTo: line(a, chunk.toA),
    afterFrom: line(b, chunk.fromB),
    afterTo: line(b, chunk.toB),
  }));
  return withContext(linesOf(old), linesOf(now), runs);
}

/** The lines; the break at the end of the last one begins no other. */
function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}

/** The line, from 0, that begins at the position; the count of lines past the end. */
function line(text: Text, position: number): number {
  return position > text.length ? text.lines : text.lineAt(position).number - 1;
}
