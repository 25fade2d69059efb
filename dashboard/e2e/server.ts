/** The real server, and in front of it the built pages as the server will send them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import {
  createServer,
  request,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';

export const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

const BUILD = 'build';
const BINARY = process.env.PICLOUD_BIN ?? '../target/debug/picloud';
/** The first start compiles the guest. */
const START_MS = 120_000;
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};

export interface PiCloud {
  /** Where the dashboard is, without a slash at its end. */
  url: string;
  /** The secret of the link to the first account. */
  setup: string;
  stop: () => Promise<void>;
}

/** Starts a server of its own, in a new folder and on free ports. */
export async function start(): Promise<PiCloud> {
  const folder = mkdtempSync(join(tmpdir(), 'picloud-e2e-'));
  const child = spawn(BINARY, ['serve', '--listen', '127.0.0.1:0', '--data-dir', folder], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    const { port, setup } = await ready(child);
    const front = createServer((asked, answer) => handle(port, asked, answer));
    await new Promise<void>((done) => front.listen(0, '127.0.0.1', done));
    const url = `http://localhost:${(front.address() as AddressInfo).port}`;
    return { url, setup, stop: () => stop(child, front, folder) };
  } catch (thrown) {
    child.kill();
    throw thrown;
  }
}

/** Waits for the lines that say the address and the link. */
function ready(child: ChildProcess): Promise<{ port: number; setup: string }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the server is not ready in time')), START_MS);
    let said = '';
    const look = (line: string) => {
      said += `${line}\n`;
      const port = /PiCloud is ready at http:\/\/localhost:(\d+)/.exec(said)?.[1];
      const setup = /\/join#([0-9a-f]+)/.exec(said)?.[1];
      if (port === undefined || setup === undefined) return;
      clearTimeout(timer);
      resolve({ port: Number(port), setup });
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface(stream).on('line', look);
    }
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}:\n${said}`)));
  });
}

async function stop(child: ChildProcess, front: Server, folder: string): Promise<void> {
  front.closeAllConnections();
  front.close();
  if (child.exitCode === null) {
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  }
  rmSync(folder, { recursive: true, force: true });
}

function handle(port: number, asked: IncomingMessage, answer: ServerResponse): void {
  const { pathname } = new URL(asked.url ?? '/', 'http://localhost');
  const own = /^\/(api|\.picloud|healthz|readyz|metrics|internal)(\/|$)/.test(pathname);
  if (own) pass(port, asked, answer);
  else file(pathname, answer);
}

/** Hands the request on as it is: `Host` too, which the server compares with `Origin`. */
function pass(port: number, asked: IncomingMessage, answer: ServerResponse): void {
  const { method, url: path, headers } = asked;
  const onward = request({ host: '127.0.0.1', port, method, path, headers }, (got) => {
    answer.writeHead(got.statusCode ?? 502, got.rawHeaders);
    got.pipe(answer);
  });
  onward.on('error', () => answer.destroy());
  answer.on('close', () => onward.destroy());
  asked.pipe(onward);
}

function file(pathname: string, answer: ServerResponse): void {
  const path = join(BUILD, normalize(pathname));
  const found = existsSync(path) && statSync(path).isFile();
  if (!found && pathname.startsWith('/_app/')) {
    answer.writeHead(404).end();
    return;
  }
  const sent = found ? path : join(BUILD, 'index.html');
  answer.writeHead(200, {
    'content-type': TYPES[extname(sent)] ?? 'application/octet-stream',
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  });
  createReadStream(sent).pipe(answer);
}
