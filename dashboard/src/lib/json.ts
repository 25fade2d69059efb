/**
 * JSON as it is written. `JSON.parse` rounds integers of more than 53 bits, which
 * scripts have: what is edited and sent back must not pass through it.
 */

const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g;

/** Valid JSON with a line for each member; other text as it is. */
export function indented(text: string): string {
  if (mistake(text) !== null) return text;
  const tokens = text.match(TOKEN) ?? [];
  let depth = 0;
  let out = '';
  const line = () => `\n${'  '.repeat(depth)}`;
  tokens.forEach((token, index) => {
    const before = tokens[index - 1];
    const empty = before === '{' || before === '[';
    if (token === '}' || token === ']') {
      depth--;
      out += empty ? token : line() + token;
    } else {
      if (empty || before === ',') out += line();
      out += token === ':' ? ': ' : token;
      if (token === '{' || token === '[') depth++;
    }
  });
  return out;
}

/** A member of an object in JSON, as it is written; null if there is none. */
export function member(text: string, name: string): string | null {
  let depth = 0;
  let start: number | null = null;
  let before: string | undefined;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (start !== null && depth === 1 && (token === ',' || token === '}'))
      return text.slice(start, index).trim();
    if (token === ':' && depth === 1 && start === null && before !== undefined) {
      if (JSON.parse(before) === name) start = index + 1;
    }
    if (token === '{' || token === '[') depth++;
    if (token === '}' || token === ']') depth--;
    before = token.startsWith('"') ? token : undefined;
  }
  return null;
}

/** What keeps a text from being JSON; null if nothing does. */
export function mistake(text: string): string | null {
  if (text.trim() === '')
    return 'JSON is wanted: "text" in quotes, a number, true, null, [] or {}.';
  try {
    JSON.parse(text);
    return null;
  } catch (thrown) {
    return `That is not JSON yet: ${(thrown as SyntaxError).message}.`;
  }
}

/** A value in one line, cut to what a table has room for. */
export function preview(value: unknown, length = 120): string {
  const text = JSON.stringify(value) ?? '';
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
