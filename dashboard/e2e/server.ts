/** The real server, with the pages that were built last, or those that it has in itself. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve as absolute } from 'node:path';
import { createInterface } from 'node:readline';

/** `PICLOUD_E2E_EMBEDDED=1` asks for the pages in the binary itself, as CI does. */
const DASHBOARD = process.env.PICLOUD_E2E_EMBEDDED ? [] : ['--dashboard-dir', 'build'];
/** Compiled code, for all servers that are started here. */
const CACHE = process.env.PICLOUD_CODE_CACHE_DIR ?? absolute('node_modules/.cache/picloud');
const BINARY = process.env.PICLOUD_BIN ?? '../target/debug/picloud';
/** The first start compiles the guest. */
const START_MS = 120_000;
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
  mkdirSync(CACHE, { recursive: true, mode: 0o700 });
  const args = ['serve', '--listen', '127.0.0.1:0', '--data-dir', folder, ...DASHBOARD];
  const child = spawn(BINARY, args, {
    env: { ...process.env, PICLOUD_CODE_CACHE_DIR: CACHE },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    const { port, setup } = await ready(child);
    return { url: `http://localhost:${port}`, setup, stop: () => stop(child, folder) };
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

async function stop(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null) {
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
  }
  rmSync(folder, { recursive: true, force: true });
}
