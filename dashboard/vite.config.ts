import { readdirSync } from 'node:fs';
import { sveltekit } from '@sveltejs/kit/vite';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** The server that `npm run dev` asks, beside which the pages are served. */
const server = process.env.PICLOUD_SERVER ?? 'http://localhost:8080';

/**
 * SvelteKit announces page changes to screen readers in an element that it
 * hides by a style attribute, which the policy forbids. A class does it, too.
 */
function announcerByClass(): Plugin {
  return {
    name: 'announcer-by-class',
    enforce: 'pre',
    transform(code, id) {
      if (!/generated\/root\.svelte$/.test(id)) return null;
      const replaced = code.replace(/ style="[^"]*"/, ' class="visually-hidden"');
      if (replaced === code) this.error('SvelteKit has no announcer with a style any more');
      return { code: replaced, map: null };
    },
  };
}

/** The paths of the pages that need a login: the navigation shows those that there are. */
const pages = readdirSync('src/routes/(in)', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('+page.svelte'))
  .map((file) => `/${file}`.replace(/\/\+page\.svelte$/, '') || '/');

export default defineConfig({
  define: { PAGES: JSON.stringify(pages) },
  plugins: [announcerByClass(), sveltekit()],
  build: { assetsInlineLimit: 0 },
  server: {
    // The templates are the repository's examples.
    fs: { allow: ['..'] },
    // `Host` stays what the browser has asked for: the server compares it with `Origin`.
    proxy: Object.fromEntries(
      ['/api', '/.picloud', '/healthz', '/readyz', '/metrics', '/internal'].map((path) => [
        path,
        { target: server, changeOrigin: false },
      ]),
    ),
  },
  test: { include: ['src/**/*.test.ts', 'e2e/**/*.test.ts'], environment: 'node', css: true },
});
