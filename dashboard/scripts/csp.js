/**
 * Makes the built document fit a policy without 'unsafe-inline': SvelteKit's
 * inline bootstrap moves into a file that is named by its contents. Then it
 * looks at the whole build, and fails it for any inline script, style, style
 * attribute or event handler that is left.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const INLINE_SCRIPT = /<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g;

/**
 * The document with each inline script as a file, and those files.
 * @param {string} html
 */
export function withoutInlineScripts(html) {
  /** @type {Map<string, string>} */
  const files = new Map();
  const document = html.replaceAll(INLINE_SCRIPT, (_, /** @type {string} */ source) => {
    const hash = createHash('sha256').update(source).digest('base64url').slice(0, 8);
    const path = `/_app/immutable/start.${hash}.js`;
    files.set(path, source.trim() + '\n');
    // A classic script, as the inline one was: it asks for `document.currentScript`.
    return `<script src="${path}"></script>`;
  });
  return { document, files };
}

/**
 * What of a document the policy would refuse.
 * @param {string} html
 */
export function refused(html) {
  const found = [];
  for (const [name, pattern] of /** @type {const} */ ([
    ['inline script', /<script(?![^>]*\ssrc=)[^>]*>/],
    ['inline style', /<style[\s>]/],
    ['style attribute', /<[^>]+\sstyle\s*=/],
    ['event handler', /<[^>]+\son[a-z]+\s*=/],
    ['javascript: address', /(?:href|src|action)\s*=\s*["']?\s*javascript:/i],
    ['other origin', /<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=\s*["']?(?:https?:)?\/\//],
  ])) {
    if (pattern.test(html)) found.push(name);
  }
  return found;
}

function main() {
  const build = fileURLToPath(new URL('../build', import.meta.url));
  const mistakes = [];
  for (const entry of readdirSync(build, { recursive: true, encoding: 'utf8' })) {
    const path = join(build, entry);
    if (entry.endsWith('.html')) {
      const { document, files } = withoutInlineScripts(readFileSync(path, 'utf8'));
      writeFileSync(path, document);
      for (const [name, source] of files) writeFileSync(join(build, name), source);
      mistakes.push(...refused(document).map((what) => `${entry}: ${what}`));
    } else if (
      entry.endsWith('.js') &&
      /<[a-z]+[^<>]*\sstyle=["']/.test(readFileSync(path, 'utf8'))
    ) {
      // Svelte makes elements from templates' text, attributes and all.
      mistakes.push(`${entry}: a template with a style attribute`);
    }
  }
  if (mistakes.length > 0) throw new Error(`the policy would refuse\n  ${mistakes.join('\n  ')}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
