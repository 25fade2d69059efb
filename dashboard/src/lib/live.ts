/**
 * What comes while one looks: server-sent events from a server that has them,
 * or else questions, again and again, for what has come since.
 */

/** How often it is asked where nothing is sent. */
const POLL_MS = 1_000;

export interface Followed<T> {
  /** The address of the stream that goes on after a cursor; `null` if there is none. */
  stream: ((after: string | null) => string) | null;
  /** The items after a cursor, the oldest first, the cursor after them, and whether there are more. */
  poll: (after: string | null) => Promise<{ items: T[]; next: string | null; more: boolean }>;
  /** Takes items, as many as have come together. */
  onitems: (items: T[]) => void;
  /** Says whether the server is heard. */
  onstate: (connected: boolean) => void;
}

/** Follows from a cursor on, until the answer is called. */
export function follow<T>(what: Followed<T>, after: string | null): () => void {
  const stop = new AbortController();
  void begin(what, after, stop.signal);
  return () => stop.abort();
}

async function begin<T>(what: Followed<T>, after: string | null, stop: AbortSignal) {
  const address = what.stream?.(after) ?? null;
  const streams = address !== null && (await isStream(address, stop));
  if (stop.aborted) return;
  if (streams) listen(what, address, after, stop);
  else await poll(what, after, stop);
}

/** Whether the server sends events there: a browser calls it an error of the page if not. */
async function isStream(address: string, stop: AbortSignal): Promise<boolean> {
  const seen = new AbortController();
  try {
    const signal = AbortSignal.any([stop, seen.signal]);
    const answer = await fetch(address, { headers: { accept: 'text/event-stream' }, signal });
    return answer.ok && (answer.headers.get('content-type') ?? '').startsWith('text/event-stream');
  } catch {
    return false;
  } finally {
    seen.abort();
  }
}

function listen<T>(what: Followed<T>, address: string, after: string | null, stop: AbortSignal) {
  let cursor = after;
  const batch = new Batch(what.onitems);
  const source = new EventSource(address);
  source.onopen = () => what.onstate(true);
  source.onmessage = (event: MessageEvent<string>) => {
    cursor = event.lastEventId || cursor;
    batch.add(JSON.parse(event.data) as T);
  };
  source.onerror = () => {
    what.onstate(false);
    // The browser connects again by itself, except after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED)
      setTimeout(() => !stop.aborted && void begin(what, cursor, stop), POLL_MS);
  };
  stop.addEventListener('abort', () => {
    source.close();
    batch.drop();
  });
}

async function poll<T>(what: Followed<T>, after: string | null, stop: AbortSignal) {
  let cursor = after;
  while (!stop.aborted) {
    let more = false;
    try {
      const page = await what.poll(cursor);
      if (stop.aborted) return;
      what.onstate(true);
      cursor = page.next ?? cursor;
      more = page.more;
      if (page.items.length > 0) what.onitems(page.items);
    } catch {
      if (!stop.aborted) what.onstate(false);
    }
    if (!more) await new Promise((done) => setTimeout(done, POLL_MS));
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
