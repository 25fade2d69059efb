/** What can be written at a place of a script, and what is there. Pure: text in, definitions out. */
import type { Definition, Namespace } from './sdk';

export interface Asked {
  /** The word so far, and where it begins. */
  word: string;
  from: number;
  /** What stands before its `::` or `.`; `null` for a word that stands alone. */
  of: { namespace: string } | { type: string | null } | null;
}

/** What is asked for at the end of the text; `null` inside strings and comments. */
export function asked(text: string, namespaces: Namespace[]): Asked | null {
  const line = text.slice(text.lastIndexOf('\n') + 1);
  const code = line.replace(/\\./g, '__').replace(/"[^"]*"/g, '""');
  if (code.replaceAll('""', '').includes('"') || code.includes('//')) return null;
  const word = /\w*$/.exec(line)?.[0] ?? '';
  const from = text.length - word.length;
  const before = text.slice(0, from);
  const namespace = /(\w+)::$/.exec(before)?.[1];
  if (namespace !== undefined) return { word, from, of: { namespace } };
  if (/\?\.$|[\w)\]}"`]\.$/.test(before)) {
    return { word, from, of: { type: typeOf(before.replace(/\??\.$/, ''), namespaces) } };
  }
  return { word, from, of: null };
}

/** The definitions that an answer to it can be. */
export function candidates(what: Asked, namespaces: Namespace[]): Definition[] {
  const all = namespaces.flatMap(({ definitions }) => definitions);
  const { of } = what;
  if (of === null) return all.filter((each) => each.of === '');
  if ('namespace' in of)
    return all.filter((each) => each.kind === 'function' && each.of === of.namespace);
  const members = all.filter((each) => each.kind !== 'function' && each.of !== '');
  const known = members.filter((each) => each.of === of.type);
  // Of a value of any type, everything that a value can have.
  return known.length > 0 ? known : of.type === null ? members : [];
}

/** What the expression that ends the text is: `collection`, as signatures name it. */
function typeOf(text: string, namespaces: Namespace[]): string | null {
  const all = namespaces.flatMap(({ definitions }) => definitions);
  const returned = (of: string | null, name: string, mark: '::' | '.') => {
    const definition = all.find(
      (each) =>
        each.name === name &&
        (mark === '::') === (each.kind === 'function') &&
        (of === null || each.of === of),
    );
    return /-> (\w+)/.exec(definition?.signatures[0] ?? '')?.[1] ?? null;
  };
  const called = text.endsWith(')') ? beforeCall(text) : null;
  if (called !== null) {
    const direct = /(\w+)::(\w+)$/.exec(called);
    if (direct?.[1] !== undefined) return returned(direct[1], direct[2] ?? '', '::');
    const chained = /^([\s\S]*)\.(\w+)$/.exec(called);
    if (chained?.[1] !== undefined)
      return returned(typeOf(chained[1].trimEnd(), namespaces), chained[2] ?? '', '.');
    // A function of the script, which says what it is in its one line.
    const own = /(\w+)$/.exec(called)?.[1];
    const body = own
      ? new RegExp(`\\bfn\\s+${own}\\s*\\([^)]*\\)\\s*\\{([^{}]*)\\}`).exec(text)?.[1]
      : undefined;
    return body === undefined ? null : typeOf(body.trim(), namespaces);
  }
  const name = /(?:^|[^\w.:])(\w+)$/.exec(text)?.[1];
  if (name === undefined) return null;
  if (all.some((each) => each.of === name && each.kind !== 'function') && name === 'req')
    return name;
  const pattern = new RegExp(`\\b(?:let|const)\\s+${name}\\s*=\\s*([^;\\n]*);`, 'g');
  const found = [...text.matchAll(pattern)].at(-1);
  // What it was given is looked at with the text before, which is shorter every time.
  return found ? typeOf(text.slice(0, found.index) + (found[1] ?? '').trim(), namespaces) : null;
}

/** The text before the call that ends it: of `a.b(c, d(e))`, `a.b`. */
function beforeCall(text: string): string | null {
  let depth = 0;
  for (let at = text.length - 1; at >= 0; at--) {
    if (text[at] === ')') depth++;
    else if (text[at] === '(' && --depth === 0) return text.slice(0, at);
  }
  return null;
}

/** What is documented of the word at a position: a definition, or a namespace. */
export function documented(
  text: string,
  position: number,
  namespaces: Namespace[],
): { from: number; to: number; what: Definition | Namespace } | null {
  const from = position - (/\w*$/.exec(text.slice(0, position))?.[0].length ?? 0);
  const to = position + (/^\w*/.exec(text.slice(position))?.[0].length ?? 0);
  const word = text.slice(from, to);
  if (word === '') return null;
  if (text.startsWith('::', to)) {
    const namespace = namespaces.find(({ name }) => name === word);
    return namespace ? { from, to, what: namespace } : null;
  }
  const what = asked(text.slice(0, from), namespaces);
  if (what === null) return null;
  const found = candidates(what, namespaces).filter(({ name }) => name === word);
  // A name that several types have is none of them for sure.
  const [first] = found;
  return first && (found.length === 1 || what.of === null) ? { from, to, what: first } : null;
}
