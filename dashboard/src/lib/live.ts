/** What comes while one looks: server-sent events. */

/** How long it takes until it is tried again. */
const AGAIN_MS = 1_000;

export interface Followed<T> {
  /** The address of the stream that goes on after a cursor. */
  stream: (after: string | null) => string;
  /** Takes items, as many as have come together. */
  onitems: (items: T[]) => void;
  /** Says whether the server is heard. */
  onstate?: (connected: boolean) => void;
}

/** Follows from a cursor on, until the answer is called. */
export function follow<T>(what: Followed<T>, after: string | null): () => void {
  const stop = new AbortController();
  listen(what, after, stop.signal);
  return () => stop.abort();
}

function listen<T>(what: Followed<T>, after: string | null, stop: AbortSignal): void {
  let cursor = after;
  const batch = new Batch(what.onitems);
  const source = new EventSource(what.stream(after));
  source.onopen = () => what.onstate?.(true);
  source.onmessage = (event: MessageEvent<string>) => {
    cursor = event.lastEventId || cursor;
    batch.add(JSON.parse(event.data) as T);
  };
  source.onerror = () => {
    what.onstate?.(false);
    // The browser connects again by itself, except after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED)
      setTimeout(() => !stop.aborted && listen(what, cursor, stop), AGAIN_MS);
  };
  stop.addEventListener('abort', () => {
    source.close();
    batch.drop();
  });
}

/** Items that are handed on together: once per frame, or once a second where nobody looks. */
class Batch<T> {
  #waiting: T[] = [];
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly onitems: (items: T[]) => void) {}

  add(item: T): void {
    this.#waiting.push(item);
    if (this.#frame !== 0) return;
    const flush = () => {
      const items = this.#waiting;
      this.drop();
      if (items.length > 0) this.onitems(items);
    };
    this.#frame = requestAnimationFrame(flush);
    this.#timer = setTimeout(flush, 1_000);
  }

  drop(): void {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    [this.#waiting, this.#frame] = [[], 0];
  }
}
