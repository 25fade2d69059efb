/** One line of a difference. `gap` stands for lines that are the same and left out. */
export interface DiffLine {
  kind: 'same' | 'added' | 'removed' | 'gap';
  text: string;
  /** The line's number before, and after, from 1. */
  before: number | null;
  after: number | null;
}

/** The lines of a unified diff of one file. */
export function parseUnified(diff: string): DiffLine[] {
  const lines: DiffLine[] = [];
  let [before, after] = [0, 0];
  let inside = false;
  for (const line of diff.split('\n')) {
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)$/.exec(line);
    if (hunk) {
      [before, after] = [Number(hunk[1]), Number(hunk[2])];
      inside = true;
      if (before > 1 || after > 1 || lines.length > 0)
        lines.push({ kind: 'gap', text: (hunk[3] ?? '').trim(), before: null, after: null });
      continue;
    }
    if (!inside) continue;
    const text = line.slice(1);
    if (line.startsWith('+')) lines.push({ kind: 'added', text, before: null, after: after++ });
    else if (line.startsWith('-'))
      lines.push({ kind: 'removed', text, before: before++, after: null });
    else if (line.startsWith(' '))
      lines.push({ kind: 'same', text, before: before++, after: after++ });
  }
  return lines;
}

/** A run of lines that differs, in both texts; line numbers from 0, `to` exclusive. */
export interface Run {
  beforeFrom: number;
  beforeTo: number;
  afterFrom: number;
  afterTo: number;
}

/** The runs with `context` lines that are the same around them. */
export function withContext(
  before: string[],
  after: string[],
  runs: Run[],
  context = 3,
): DiffLine[] {
  const lines: DiffLine[] = [];
  // How far both texts are told.
  let [a, b] = [0, 0];
  const same = (until: number) => {
    while (a < Math.min(until, before.length))
      lines.push({ kind: 'same', text: before[a] ?? '', before: ++a, after: ++b });
  };
  for (const [index, run] of runs.entries()) {
    const gap = run.beforeFrom - a;
    const tail = index === 0 ? 0 : context;
    if (gap > tail + context) {
      same(a + tail);
      const skipped = run.beforeFrom - context - a;
      [a, b] = [a + skipped, b + skipped];
      lines.push({ kind: 'gap', text: '', before: null, after: null });
    }
    same(run.beforeFrom);
    // A run can go beyond the lines, by the break at the end of the last one.
    for (; a < Math.min(run.beforeTo, before.length); a++)
      lines.push({ kind: 'removed', text: before[a] ?? '', before: a + 1, after: null });
    for (; b < Math.min(run.afterTo, after.length); b++)
      lines.push({ kind: 'added', text: after[b] ?? '', before: null, after: b + 1 });
  }
  if (runs.length > 0) same(Math.min(before.length, a + context));
  return lines;
}
