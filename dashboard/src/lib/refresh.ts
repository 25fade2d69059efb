import { invalidate } from '$app/navigation';
import { navigating } from '$app/state';

/** Asks again for what a page shows, every `every_ms`, while somebody looks. For an `$effect`. */
export function refreshing(what: string, every_ms: number): () => void {
  const timer = setInterval(() => {
    // SvelteKit gives up a navigation that has begun when something is invalidated.
    const leaving = navigating.to !== null;
    if (!leaving && document.visibilityState === 'visible') void invalidate(what);
  }, every_ms);
  return () => clearInterval(timer);
}
