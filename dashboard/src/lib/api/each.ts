/** Questions at one time: the server has others to answer, too. */
const AT_ONCE = 6;

/** What `ask` finds for each of the keys. One for which it fails has none: it can have gone meanwhile. */
export async function forEach<T>(
  keys: string[],
  ask: (key: string) => Promise<T>,
): Promise<Map<string, T>> {
  const found = new Map<string, T>();
  const waiting = [...keys];
  const work = async () => {
    for (let key = waiting.shift(); key !== undefined; key = waiting.shift()) {
      try {
        found.set(key, await ask(key));
      } catch {
        // Whoever shows it says that nothing is known of it.
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}
