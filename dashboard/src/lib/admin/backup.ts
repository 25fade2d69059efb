/** Fetches a backup, and sees that it is whole. */
import { api, ask, Problem } from '$lib/api';

/** Of a backup's last line, which is short, at least so much is kept while it is read. */
const TAIL_BYTES = 4_096;

/** A backup of this moment; `onbytes` is told how many of its bytes have come. */
export async function backup(onbytes: (count: number) => void): Promise<Blob> {
  const stream = await ask(api().POST('/backup', { parseAs: 'stream' }));
  if (stream === null) throw brokenOff();
  let come = 0;
  const counting = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, controller) {
      come += chunk.byteLength;
      onbytes(come);
      controller.enqueue(chunk);
    },
  });
  const [kept, read] = (stream as ReadableStream<Uint8Array<ArrayBuffer>>)
    .pipeThrough(counting)
    .tee();
  const [blob, whole] = await Promise.all([
    new Response(kept).blob().catch(() => null),
    isWhole(read).catch(() => false),
  ]);
  if (blob === null || !whole) throw brokenOff();
  return blob;
}

/** Whether a backup has the line that ends it: one that broke off has not. */
export async function isWhole(packed: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<boolean> {
  let tail = '';
  const text = packed
    .pipeThrough(new DecompressionStream('gzip'))
    .pipeThrough(new TextDecoderStream());
  for (const reader = text.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    tail = (tail + value).slice(-TAIL_BYTES);
  }
  const last = tail.trimEnd().split('\n').at(-1) ?? '';
  return tail.endsWith('\n') && /^\{"end":\{.*\}\}$/.test(last);
}

function brokenOff(): Problem {
  return new Problem(
    0,
    'broken_off',
    'The backup broke off',
    'What came is no backup, and nothing was saved. Look at the server’s log, then try again.',
  );
}
