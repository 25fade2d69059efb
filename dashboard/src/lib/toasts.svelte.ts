import { problemOf } from '$lib/api';

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

/** Short notes that something is done, or that it failed. */
class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  /** Says that something is done. */
  done(text: string): void {
    this.#add(text, false, 4_000);
  }

  /** Says that something failed, and stays longer. */
  failed(thrown: unknown): void {
    this.#add(problemOf(thrown).detail, true, 10_000);
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  #add(text: string, bad: boolean, for_ms: number): void {
    const id = this.#next++;
    this.list.push({ id, text, bad });
    setTimeout(() => this.dismiss(id), for_ms);
  }
}

export const toasts = new Toasts();
