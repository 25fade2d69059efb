/** A window of the newest items: what goes beyond its size is dropped at the old end. */
export class Window<T> {
  #items: { key: number; value: T }[] = [];
  #next = 0;
  /** How many have been dropped. */
  dropped = 0;

  constructor(readonly size: number) {}

  /** The items, the oldest first, each with a key that stays its own. */
  get items(): readonly { key: number; value: T }[] {
    return this.#items;
  }

  add(values: readonly T[]): void {
    const fresh = values.slice(-this.size).map((value) => ({ key: this.#next++, value }));
    const kept = this.#items.slice(Math.max(0, this.#items.length + fresh.length - this.size));
    this.dropped += this.#items.length + values.length - kept.length - fresh.length;
    this.#items = [...kept, ...fresh];
  }

  clear(): void {
    [this.#items, this.dropped] = [[], 0];
  }
}
