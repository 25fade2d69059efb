import { problemOf, type Problem } from '$lib/api';

/** What a form or a dialog asks the server for: whether it waits, and why it failed. */
export class Submission {
  /** Whether the work goes on. */
  busy = $state(false);
  /** Why the last work failed; null while it goes on, and if it succeeded. */
  problem = $state.raw<Problem | null>(null);

  /** Does the work. What it throws becomes the problem. */
  async run(work: () => Promise<unknown>): Promise<void> {
    [this.busy, this.problem] = [true, null];
    try {
      await work();
    } catch (thrown) {
      this.problem = problemOf(thrown);
    } finally {
      this.busy = false;
    }
  }

  /** Forgets the problem, for a form that begins anew. */
  clear(): void {
    this.problem = null;
  }
}
