/** The address of the login that comes back to where one is. */
export function loginFor({ pathname, search }: URL): string {
  const to = pathname + search;
  return to === '/' ? '/login' : `/login?to=${encodeURIComponent(to)}`;
}

/** Where a login goes on to: a page of the dashboard, whatever the address says. */
export function destination(to: string | null): string {
  if (to === null) return '/';
  const base = 'http://dashboard.invalid';
  const url = URL.canParse(to, base) ? new URL(to, base) : null;
  // `//example.org` and `/\example.org` lead elsewhere.
  return url?.origin === base && to.startsWith('/') ? url.pathname + url.search + url.hash : '/';
}
