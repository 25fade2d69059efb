/** A line of a source with its number, from 1. */
export interface SourceLine {
  number: number;
  text: string;
}

/** The line and those around it; nothing if the source has no such line. */
export function excerpt(source: string, line: number, around = 3): SourceLine[] {
  const lines = source.replace(/\n$/, '').split('\n');
  if (line < 1 || line > lines.length) return [];
  const first = Math.max(1, line - around);
  return lines
    .slice(first - 1, line + around)
    .map((text, index) => ({ number: first + index, text }));
}
