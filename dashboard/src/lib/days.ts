/** The last days by their names in UTC, `2026-11-25`, the earliest first. */
export function daysUntil(now_ms: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    new Date(now_ms - (count - 1 - index) * 86_400_000).toISOString().slice(0, 10),
  );
}
