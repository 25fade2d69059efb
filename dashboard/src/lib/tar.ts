/** A file of a release: its path, and its text or bytes. */
export interface File {
  path: string;
  content: string | Uint8Array<ArrayBuffer>;
}

const BLOCK = 512;

/**
 * The files as a tar (ustar), which is what a deploy takes. Throws for a path
 * that does not fit into its header's 100 + 155 bytes.
 */
export function tar(files: File[]): Blob {
  const text = new TextEncoder();
  const parts: BlobPart[] = [];
  for (const { path, content } of files) {
    const body = typeof content === 'string' ? text.encode(content) : content;
    parts.push(header(path, body.length), body, new Uint8Array(-body.length & (BLOCK - 1)));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts, { type: 'application/x-tar' });
}

function header(path: string, size: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const encoder = new TextEncoder();
  const put = (value: string, offset: number) => block.set(encoder.encode(value), offset);
  const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, '0') + '\0';
  const parts = split(path);
  if (parts === null) throw new Error(`the path ${path} is too long`);
  const [prefix, name] = parts;
  put(name, 0);
  put(octal(0o644, 8), 100);
  put(octal(0, 8), 108);
  put(octal(0, 8), 116);
  put(octal(size, 12), 124);
  put(octal(0, 12), 136);
  put('        ', 148);
  put('0', 156);
  put('ustar\x0000', 257);
  put(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(sum.toString(8).padStart(6, '0') + '\0 ', 148);
  return block;
}

/** Whether the path fits into a header. */
export function fits(path: string): boolean {
  return split(path) !== null;
}

function split(path: string): [prefix: string, name: string] | null {
  const length = (part: string) => new TextEncoder().encode(part).length;
  if (length(path) <= 100) return ['', path];
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (length(prefix) <= 155 && length(name) <= 100) return [prefix, name];
  }
  return null;
}
