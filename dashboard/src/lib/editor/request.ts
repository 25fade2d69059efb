import type { Schemas } from '$lib/api';

/** The headers of lines `name: value`; lines that are none are left out. */
export function headersOf(text: string): [string, string][] {
  return text.split('\n').flatMap((line): [string, string][] => {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim();
    return colon > 0 && name !== '' ? [[name, line.slice(colon + 1).trim()]] : [];
  });
}

/** The body of an answer as text for people: JSON with indentation, bytes by their number. */
export function readable(answer: Pick<Schemas['InvokeResponse'], 'body' | 'body_base64'>): string {
  if (answer.body_base64 != null) {
    const encoded = answer.body_base64.replace(/=+$/, '');
    return `${Math.floor((encoded.length * 3) / 4)} bytes that are no text`;
  }
  const text = answer.body ?? '';
  if (!/^\s*[{[]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
