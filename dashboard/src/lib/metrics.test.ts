import { expect, it } from 'vitest';
import { parse, quantile, sum } from './metrics';

const METRICS = parse(`# HELP picloud_executions_total invocations that ended
# TYPE picloud_executions_total counter
picloud_executions_total{outcome="ok"} 90
picloud_executions_total{outcome="script_error"} 10

picloud_deliveries_waiting 3
picloud_execution_seconds_bucket{le="0.001"} 50
picloud_execution_seconds_bucket{le="0.01"} 98
picloud_execution_seconds_bucket{le="+Inf"} 100
picloud_execution_seconds_sum 4.2
picloud_execution_seconds_count 100
no metric at all
`);

it('samples are added up, all or by a label', () => {
  expect(sum(METRICS, 'picloud_executions_total')).toBe(100);
  expect(sum(METRICS, 'picloud_executions_total', { outcome: 'ok' })).toBe(90);
  expect(sum(METRICS, 'picloud_deliveries_waiting')).toBe(3);
  expect(sum(METRICS, 'nothing')).toBe(0);
});

it('a quantile is the end of its bucket', () => {
  expect(quantile(METRICS, 'picloud_execution_seconds', 0.5)).toBe(0.001);
  expect(quantile(METRICS, 'picloud_execution_seconds', 0.95)).toBe(0.01);
  expect(quantile(METRICS, 'picloud_execution_seconds', 0.99)).toBeNull();
  expect(quantile(METRICS, 'nothing', 0.5)).toBeNull();
});
