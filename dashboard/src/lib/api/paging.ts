/** One page of a list, as every list of the API is. */
export interface Page<T> {
  items: T[];
  next?: string | number | null;
}

/**
 * All items of a list from its pages, at most `limit` of them. A page can be
 * empty and still have a next one.
 */
export async function* pages<T>(
  page: (after: string | number | undefined) => Promise<Page<T>>,
  limit = Infinity,
): AsyncGenerator<T> {
  let after: string | number | undefined;
  let given = 0;
  do {
    const { items, next } = await page(after);
    for (const item of items) {
      if (given++ >= limit) return;
      yield item;
    }
    // A cursor that does not move on would ask for the same page for ever.
    if (next == null || next === after) return;
    after = next;
  } while (given < limit);
}
