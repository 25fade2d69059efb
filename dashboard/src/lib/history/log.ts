const CLOCK = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

/** A moment of a day in the browser's zone, to the millisecond: `17:19:11.042`. */
export function clockTime(at_ms: number): string {
  return CLOCK.format(at_ms);
}

/** What a line has been given beside its message, as text. */
export function fieldsOf(json: string | null | undefined): [name: string, value: string][] {
  if (json == null) return [];
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return Object.entries(value).map(([name, each]) => [
        name,
        typeof each === 'string' ? each : JSON.stringify(each),
      ]);
    }
  } catch {
    // What is no JSON is shown as it is.
  }
  return [['fields', json]];
}
