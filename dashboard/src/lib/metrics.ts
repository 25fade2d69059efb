/** What the server counts, from its metrics in Prometheus' text format. */

interface Sample {
  labels: Record<string, string>;
  value: number;
}
export type Metrics = Map<string, Sample[]>;

/** All samples, by the metric's name. Lines that are none are passed over. */
export function parse(text: string): Metrics {
  const found: Metrics = new Map();
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined || Number.isNaN(Number(value))) continue;
    const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)];
    const sample = {
      labels: Object.fromEntries(pairs.map(([, key = '', text = '']) => [key, text])),
      value: Number(value),
    };
    const known = found.get(name);
    if (known) known.push(sample);
    else found.set(name, [sample]);
  }
  return found;
}

/** All samples of a metric together; those with a label's value alone if it is named. */
export function sum(metrics: Metrics, name: string, labels: Record<string, string> = {}): number {
  return (metrics.get(name) ?? [])
    .filter((each) => Object.entries(labels).every(([key, value]) => each.labels[key] === value))
    .reduce((total, { value }) => total + value, 0);
}

/**
 * What a share of a histogram's values does not exceed: the end of the bucket
 * that it falls into. `null` if there are no values, or the bucket has no end.
 */
export function quantile(metrics: Metrics, name: string, share: number): number | null {
  const total = sum(metrics, `${name}_count`);
  if (total === 0) return null;
  const bucket = (metrics.get(`${name}_bucket`) ?? [])
    .map(({ labels, value }) => ({ end: Number(labels.le?.replace('+Inf', 'Infinity')), value }))
    .sort((a, b) => a.end - b.end)
    .find(({ value }) => value >= total * share);
  return bucket !== undefined && Number.isFinite(bucket.end) ? bucket.end : null;
}
