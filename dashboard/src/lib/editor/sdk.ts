/**
 * What scripts can call, from the repository's reference (docs/sdk), which is
 * generated from the SDK itself: completion and hover documentation are made of it.
 */

export interface Definition {
  /** The name after `::` or `.`: `collection`, `get`. */
  name: string;
  /** What stands before it: the namespace of a function, or what has the method. */
  of: string;
  kind: 'function' | 'method' | 'property';
  /** Each way to call it: `collection.get(key) -> value`. */
  signatures: string[];
  doc: string;
  /** A script that uses it. */
  example: string;
}

export interface Namespace {
  name: string;
  doc: string;
  definitions: Definition[];
}

const pages = import.meta.glob<string>('../../../../docs/sdk/*.md', {
  query: '?raw',
  import: 'default',
});

let loaded: Promise<Namespace[]> | undefined;

/** All namespaces, by name; fetched once. */
export function sdk(): Promise<Namespace[]> {
  loaded ??= Promise.all(
    Object.entries(pages)
      .filter(([path]) => !path.endsWith('README.md'))
      .map(async ([, read]) => parse(await read())),
  );
  return loaded;
}

/** The namespace that a page of the reference describes. */
export function parse(markdown: string): Namespace {
  const [head = '', ...sections] = markdown.replace(/<!--[\s\S]*?-->/g, '').split(/^## /m);
  const name = /^# (.+)$/m.exec(head)?.[1] ?? '';
  const doc = paragraphs(head.replace(/^# .+$/m, ''))[0] ?? '';
  return { name, doc, definitions: sections.map(definition).filter((each) => each !== null) };
}

function definition(section: string): Definition | null {
  const [heading = '', ...rest] = section.split('\n');
  const title = heading.replaceAll('`', '').trim();
  const named = /^(\w+)(::|\.)(\w+)$/.exec(title);
  const body = rest.join('\n');
  const prose = paragraphs(body.replace(/```[\s\S]*?```/g, ''));
  const signatures = prose.flatMap((text) => /^`([^`]+)`$/.exec(text)?.[1] ?? []);
  // The file's name before an example is no signature.
  const isCall = (text: string) => text.startsWith(title) || !/\.\w+$/.test(text);
  const doc = prose.find((text) => !/^`[^`]+`$/.test(text)) ?? '';
  const example = /```rhai\n([\s\S]*?)```/.exec(body)?.[1]?.trimEnd() ?? '';
  const common = { signatures: signatures.filter(isCall), doc, example };
  if (named) {
    const [, of = '', mark, name = ''] = named;
    const called = common.signatures.some((text) => text.includes('('));
    return {
      name,
      of,
      kind: mark === '::' ? 'function' : called ? 'method' : 'property',
      ...common,
    };
  }
  return /^\w+$/.test(title) ? { name: title, of: '', kind: 'function', ...common } : null;
}

function paragraphs(text: string): string[] {
  return text
    .split(/\n\s*\n/)
    .map((each) => each.trim())
    .filter((each) => each !== '');
}
