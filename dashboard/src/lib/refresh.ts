import { invalidate } from '$app/navigation';

/** Asks again for what a page shows, every `every_ms`, while somebody looks. For an `$effect`. */
export function refreshing(what: string, every_ms: number): () => void {
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') void invalidate(what);
  }, every_ms);
  return () => clearInterval(timer);
}
