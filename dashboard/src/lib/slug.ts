/** What is wrong with an app's name; null if nothing is. The server's rule, said as one types. */
export function slugMistake(slug: string): string | null {
  if (slug === '') return null;
  if (!/^[a-z]/.test(slug)) return 'It begins with a small letter.';
  if (/[^a-z0-9-]/.test(slug)) return 'Small letters, digits and hyphens only.';
  if (slug.length > 39) return 'It has 39 characters at most.';
  return slug.length < 2 ? 'It has two characters at least.' : null;
}
