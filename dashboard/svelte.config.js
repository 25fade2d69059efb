import adapter from '@sveltejs/adapter-static';

/** @type {import('@sveltejs/kit').Config} */
export default {
  compilerOptions: {
    runes: ({ filename }) => (filename.includes('node_modules') ? undefined : true),
  },
  kit: {
    // One document for every address: the server answers with it whatever it
    // does not know itself.
    adapter: adapter({ fallback: 'index.html' }),
    // A document with absolute addresses works at any depth.
    paths: { relative: false },
    version: { pollInterval: 0 },
  },
};
