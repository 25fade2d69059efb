/**
 * What comes while one looks: server-sent events where the API has them, or else
 * questions, again and again, for what has come since.
 */

/** How long it takes until it is asked, or tried, again. */
const AGAIN_MS = 1_000;

export type Followed<T> = {
  /** Takes items, as many as have come together. */
  onitems: (items: T[]) => void;
  /** Says whether the server is heard. */
  onstate: (connected: boolean) => void;
} & (
  | {
      /** The address of the stream that goes on after a cursor. */
      stream: (after: string | null) => string;
    }
  | {
      /** What has come since it was asked for last, the oldest first. */
      poll: () => Promise<T[]>;
    }
);

/** Follows from a cursor on, until the answer is called. */
export function follow<T>(what: Followed<T>, after: string | null): () => void {
  const stop = new AbortController();
  begin(what, after, stop.signal);
  return () => stop.abort();
}

function begin<T>(what: Followed<T>, after: string | null, stop: AbortSignal): void {
  if ('poll' in what) void ask(what, stop);
  else listen(what, after, stop);
}

function listen<T>(
  what: Extract<Followed<T>, { stream: unknown }>,
  after: string | null,
  stop: AbortSignal,
): void {
  let cursor = after;
  const batch = new Batch(what.onitems);
  const source = new EventSource(what.stream(after));
  source.onopen = () => what.onstate(true);
  source.onmessage = (event: MessageEvent<string>) => {
    cursor = event.lastEventId || cursor;
    batch.add(JSON.parse(event.data) as T);
  };
  source.onerror = () => {
    what.onstate(false);
    // The browser connects again by itself, except after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED)
      setTimeout(() => !stop.aborted && begin(what, cursor, stop), AGAIN_MS);
  };
  stop.addEventListener('abort', () => {
    source.close();
    batch.drop();
  });
}

async function ask<T>(
  what: Extract<Followed<T>, { poll: unknown }>,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    await new Promise((done) => setTimeout(done, AGAIN_MS));
    if (stop.aborted) return;
    // A page that nobody sees asks nothing.
    if (document.hidden) continue;
    try {
      const items = await what.poll();
      if (stop.aborted) return;
      what.onstate(true);
      if (items.length > 0) what.onitems(items);
    } catch {
      if (!stop.aborted) what.onstate(false);
    }
  }
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
