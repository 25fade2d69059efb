/**
 * How much JavaScript the browser fetches before the list of apps is there: the
 * document's scripts, what they import, and the page's own parts. Fails above
 * the budget.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const BUDGET_BYTES = 150 * 1024;
const build = fileURLToPath(new URL('../build', import.meta.url));

/**
 * The scripts reached from these by static imports, and their size in bytes, gzipped.
 * @param {string[]} entries
 */
function weigh(entries) {
  const seen = new Set();
  const waiting = entries.map((entry) => resolve(entry));
  let bytes = 0;
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path) || !existsSync(path)) continue;
    seen.add(path);
    const source = readFileSync(path, 'utf8');
    bytes += gzipSync(source).length;
    for (const [, target] of source.matchAll(/(?:from|import)\s*"(\.[^"]+\.js)"/g)) {
      waiting.push(resolve(dirname(path), /** @type {string} */ (target)));
    }
  }
  return { bytes, files: seen.size };
}

const html = readFileSync(join(build, 'index.html'), 'utf8');
const named = [...html.matchAll(/(?:src|href)="(\/[^"]+\.js)"/g)].map(([, path]) =>
  join(build, path ?? ''),
);
// Which parts a page has is in the manifest: its root layout, error page, the
// signed-in layout and the list. They are found by what only they import.
const nodes = join(build, '_app/immutable/nodes');
const first = readdirSync(nodes).filter((name) => /^[0-3]\./.test(name));
const list = readdirSync(nodes).filter((name) =>
  readFileSync(join(nodes, name), 'utf8').includes('data-page-apps'),
);
if (list.length !== 1) throw new Error('the list of apps has no part of its own');
const { bytes, files } = weigh([...named, ...[...first, ...list].map((name) => join(nodes, name))]);
console.log(
  `the list of apps loads ${(bytes / 1024).toFixed(1)} KiB of JavaScript, gzipped, in ${files} files`,
);
if (bytes > BUDGET_BYTES) throw new Error(`more than ${BUDGET_BYTES / 1024} KiB`);
