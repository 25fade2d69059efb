// The document is the same for every address; the browser does the rest.
export const ssr = false;
