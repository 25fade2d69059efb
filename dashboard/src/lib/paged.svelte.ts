import type { Page } from '$lib/api';
import { toasts } from '$lib/toasts.svelte';

/** A list of the API as far as it has been asked for. */
export class Paged<T> {
  items = $state.raw<T[]>([]);
  busy = $state(false);
  #next = $state.raw<string | number | null>(null);
  #page: (after: string) => Promise<Page<T>>;

  /** Begins with its first page; `page` asks for the one after a cursor. */
  constructor(first: Page<T>, page: (after: string) => Promise<Page<T>>) {
    this.items = first.items;
    this.#next = first.next ?? null;
    this.#page = page;
  }

  /** Whether there are more items to ask for. */
  get unfinished(): boolean {
    return this.#next !== null;
  }

  /** Asks for the next page. */
  async more(): Promise<void> {
    if (this.#next === null || this.busy) return;
    this.busy = true;
    try {
      const { items, next } = await this.#page(String(this.#next));
      this.items = [...this.items, ...items];
      this.#next = next ?? null;
    } catch (thrown) {
      toasts.failed(thrown);
    } finally {
      this.busy = false;
    }
  }
}
