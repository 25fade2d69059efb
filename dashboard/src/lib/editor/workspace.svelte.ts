/** The files of an app while they are edited: the active release, and a draft on top of it. */
import { api, ask, problemOf, type Problem } from '$lib/api';
import { check, invoke, keepDraft } from '$lib/api/draft';
import { activeSource, type Source } from '$lib/api/source';
import { tar, type File } from '$lib/tar';
import type { Schemas } from '$lib/api';
import { apply, conflicts, edits, load, same, save, type Content, type Draft } from './draft';

/** How long nothing is typed before the files are checked. */
const CHECK_MS = 450;
/** How long nothing is typed before the draft is kept. */
const SAVE_MS = 250;

export class Workspace {
  readonly app: string;
  readonly #user: string;
  #source = $state.raw<Source>({ release: 0, etag: null, files: [] });
  #files = $state.raw<File[]>([]);
  #draft = $state.raw<Draft | null>(null);
  #checkTimer: ReturnType<typeof setTimeout> | undefined;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;
  /** Counts changes, so that an answer about earlier files is known to be late. */
  #version = 0;
  /** The release that holds these files without being active, of which version. */
  #kept: { release: number; version: number } | null = null;

  /** Whether the files are there. */
  ready = $state(false);
  /** Why they are not, when they could not be read. */
  unread = $state.raw<Problem | null>(null);
  /** What the server's check has found; `null` while that is not known. */
  diagnostics = $state.raw<Schemas['Diagnostic'][] | null>(null);
  /** Why the check did not come about. */
  unchecked = $state.raw<Problem | null>(null);
  checking = $state(false);
  /** Why the draft is not kept by the browser. */
  unsaved = $state.raw<Problem | null>(null);
  /** The release that has become active since the draft was begun; `null` if none has. */
  movedOn = $state<number | null>(null);

  /** `user` is who writes. The files are those of `source` once it is there. */
  constructor(user: string, app: string, source: Promise<Source>) {
    this.#user = user;
    this.app = app;
    source.then(
      (read) => this.#take(read),
      (thrown: unknown) => (this.unread = problemOf(thrown)),
    );
  }

  get files(): File[] {
    return this.#files;
  }

  get release(): number {
    return this.#source.release;
  }

  get originals(): Source['files'] {
    return this.#source.files;
  }

  readonly #edited = $derived(edits(this.#source.files, this.#files, this.#draft));
  // eslint-disable-next-line svelte/prefer-svelte-reactivity -- it is made anew, never changed
  readonly changed = $derived(new Set(Object.keys(this.#edited)));
  /** The files that a release since has changed, too. */
  readonly conflicts = $derived(
    this.movedOn === null || this.#draft === null
      ? []
      : conflicts(this.#source.files, { ...this.#draft, edits: this.#edited }),
  );

  isNew(path: string): boolean {
    return !this.#source.files.some((file) => file.path === path);
  }

  content(path: string): Content | undefined {
    return this.#files.find((file) => file.path === path)?.content;
  }

  write(path: string, content: Content): void {
    const before = this.content(path);
    if (before !== undefined && same(before, content)) return;
    const others = this.#files.filter((file) => file.path !== path);
    this.#set([...others, { path, content }]);
  }

  /** Makes a file: a script that answers, or an empty one. */
  begin(path: string): void {
    this.write(path, path.endsWith('.rhai') ? 'fn get(req) {\n    "Hello!"\n}\n' : '');
  }

  remove(path: string): void {
    this.#set(this.#files.filter((file) => file.path !== path));
  }

  rename(from: string, to: string): void {
    this.#set(this.#files.map((file) => (file.path === from ? { ...file, path: to } : file)));
  }

  /** The file as the active release has it; gone if it has none. */
  revert(path: string): void {
    const original = this.#source.files.find((file) => file.path === path);
    if (original) this.write(path, original.content);
    else this.remove(path);
  }

  discard(): void {
    this.#draft = null;
    this.movedOn = null;
    this.#set(this.#source.files.map(({ path, content }) => ({ path, content })));
    this.keep();
  }

  /** From now on the draft is one of the release that is active now. */
  putOnTop(): void {
    // eslint-disable-next-line svelte/prefer-svelte-reactivity -- it is gone when this ends
    const from = new Map(this.#source.files.map(({ path, hash }) => [path, hash]));
    const rebased = Object.entries(this.#edited).map(
      ([path, edit]) => [path, { ...edit, from: from.get(path) ?? null }] as const,
    );
    this.#draft = {
      version: 1,
      base: this.release,
      edits: Object.fromEntries(rebased),
    };
    this.movedOn = null;
    this.keep();
  }

  /** Keeps the draft in the browser now. */
  keep(): boolean {
    // What was kept before is not replaced by the nothing that there is until then.
    if (!this.ready) return false;
    clearTimeout(this.#saveTimer);
    this.#saveTimer = undefined;
    const base = this.movedOn === null ? this.release : (this.#draft?.base ?? this.release);
    const draft: Draft = { version: 1, base, edits: this.#edited };
    try {
      save({ user: this.#user, app: this.app }, draft);
      this.#draft = Object.keys(draft.edits).length > 0 ? draft : null;
      this.unsaved = null;
      return true;
    } catch (thrown) {
      this.unsaved = problemOf(thrown);
      return false;
    }
  }

  /** Keeps what is not kept yet, and asks nothing any more. */
  close(): void {
    clearTimeout(this.#checkTimer);
    if (this.#saveTimer !== undefined) this.keep();
  }

  /** Reads the active release anew; the draft stays on top of it. */
  async reload(): Promise<void> {
    this.keep();
    this.#take(await activeSource(this.app));
  }

  /** Deploys the files, if the release that they are made from is still the active one. */
  async deploy(note: string): Promise<Schemas['DeployedView']> {
    const path = { app: this.app };
    const query = note.trim() === '' ? {} : { note: note.trim() };
    const condition = this.#source.etag === null ? {} : { 'If-Match': this.#source.etag };
    const deployed = await ask(
      api().POST('/apps/{app}/releases', {
        params: { path, query, header: condition },
        body: tar(this.#files),
        headers: { 'content-type': 'application/gzip' },
      }),
    );
    const [version, kept] = [this.#version, this.#kept];
    this.#kept = null;
    if (kept) await this.#forget(kept.release);
    const source = await activeSource(this.app);
    // What was typed while it was deployed stays as a draft on top of it.
    const files = this.#files;
    this.#draft = null;
    this.movedOn = null;
    this.#source = source;
    if (version !== this.#version) this.#files = files;
    else this.#files = apply(source.files, null);
    this.keep();
    return deployed;
  }

  /** Sends a request to the files as they are here. */
  async send(asked: Schemas['InvokeRequest']): Promise<Schemas['InvokeResponse']> {
    if (this.changed.size === 0) return invoke(this.app, asked, null);
    if (this.#kept?.version !== this.#version) {
      const [before, version] = [this.#kept, this.#version];
      const release = await keepDraft(this.app, this.#files);
      this.#kept = { release, version };
      if (before) await this.#forget(before.release);
    }
    return invoke(this.app, asked, this.#kept?.release ?? null);
  }

  /** Asks the server for what is wrong with the files. */
  async check(): Promise<void> {
    clearTimeout(this.#checkTimer);
    const version = this.#version;
    this.checking = true;
    try {
      const found = await check(this.app, this.#files);
      if (version !== this.#version) return;
      this.diagnostics = found;
      this.unchecked = null;
    } catch (thrown) {
      const problem = problemOf(thrown);
      if (version !== this.#version) return;
      if (problem.code === 'app_busy') this.#checkSoon(1_000);
      else if (problem.errors.length > 0) this.refused(problem);
      else this.unchecked = problem;
    } finally {
      this.checking = false;
    }
  }

  /** Takes over what a deploy that was refused has said. */
  refused(problem: Problem): void {
    this.diagnostics = problem.errors.map((issue) => ({ severity: 'error', ...issue }));
  }

  #take(source: Source): void {
    this.ready = true;
    this.#source = source;
    this.#draft = load({ user: this.#user, app: this.app });
    this.#files = apply(source.files, this.#draft);
    this.movedOn =
      this.#draft !== null && this.#draft.base !== source.release ? source.release : null;
    this.#version++;
    if (this.#draft !== null) this.#checkSoon(0);
    else this.diagnostics = [];
  }

  #set(files: File[]): void {
    this.#files = files.sort((a, b) => (a.path < b.path ? -1 : 1));
    this.#version++;
    clearTimeout(this.#saveTimer);
    this.#saveTimer = setTimeout(() => this.keep(), SAVE_MS);
    this.#checkSoon(CHECK_MS);
  }

  #checkSoon(in_ms: number): void {
    clearTimeout(this.#checkTimer);
    this.#checkTimer = setTimeout(() => void this.check(), in_ms);
  }

  /** A draft that is no more asked. That it is the newest release, or gone, does not matter. */
  async #forget(number: number): Promise<void> {
    const path = { app: this.app, number };
    await api().DELETE('/apps/{app}/releases/{number}', { params: { path } });
  }
}
