/**
 * How well a text has the letters of a query in their order: null if it has
 * them not, and more for letters that begin words or stand side by side.
 */
export function score(query: string, text: string): number | null {
  const wanted = query.toLowerCase().replaceAll(/\s+/g, '');
  const found = text.toLowerCase();
  let total = 0;
  let at = -1;
  for (const letter of wanted) {
    const next = best(found, letter, at);
    if (next === null) return null;
    total += next === at + 1 ? 4 : 1;
    if (beginsWord(found, next)) total += 3;
    at = next;
  }
  // Of two that match alike the shorter one is meant.
  return total - text.length / 100;
}

/** Those of the items that match, the best first. */
export function ranked<T>(query: string, items: T[], text: (item: T) => string): T[] {
  return items
    .map((item) => ({ item, score: score(query, text(item)) }))
    .filter((each): each is { item: T; score: number } => each.score !== null)
    .sort((a, b) => b.score - a.score)
    .map(({ item }) => item);
}

/** The letter's next place: right after the last one, else where a word begins, else anywhere. */
function best(text: string, letter: string, after: number): number | null {
  if (text[after + 1] === letter) return after + 1;
  for (let at = text.indexOf(letter, after + 1); at >= 0; at = text.indexOf(letter, at + 1)) {
    if (beginsWord(text, at)) return at;
  }
  const at = text.indexOf(letter, after + 1);
  return at < 0 ? null : at;
}

function beginsWord(text: string, at: number): boolean {
  return at === 0 || /[^a-z0-9]/.test(text[at - 1] ?? '');
}
