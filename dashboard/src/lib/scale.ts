/** Round numbers from 0 to at least `max`, evenly spaced, `steps` or a few more. */
export function ticks(max: number, steps = 4): number[] {
  if (!(max > 0)) return [0, 1];
  const rough = max / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough;
  const values = [0];
  // By multiplication: adding up would add up its errors, too.
  while ((values.at(-1) ?? 0) < max) values.push(Number((values.length * step).toPrecision(12)));
  return values;
}

/** Maps a range of numbers onto another. An empty range maps to the middle. */
export function linear(from: [number, number], to: [number, number]): (value: number) => number {
  const [a, b] = from;
  const [c, d] = to;
  return (value) => (a === b ? (c + d) / 2 : c + ((value - a) / (b - a)) * (d - c));
}

/** An SVG path through the points; where a value is null the line has a gap. */
export function line(points: { x: number; y: number | null }[]): string {
  let open = false;
  let path = '';
  for (const { x, y } of points) {
    if (y !== null) path += `${open ? 'L' : 'M'}${round(x)} ${round(y)}`;
    open = y !== null;
  }
  return path;
}

/** Where a value has none beside it: a line through it alone would not be seen. */
export function alone(values: (number | null)[]): number[] {
  return values.flatMap((value, index) =>
    value !== null && values[index - 1] == null && values[index + 1] == null ? [index] : [],
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
