/** What decides when a unit that ended is started again: how long it had run, and the delays before. */
export interface Backoff {
  /** Milliseconds to wait before the next start. */
  readonly delayMs: number;
}

const firstMs = 1000;
/** Short of 30 s, so that a unit which is killed again and again is still back within 30 s each time. */
const lastMs = 25_000;
const settledMs = 60_000;

/**
 * Returns the wait before a restart: a second at first, then doubled each time up to 25 s; a unit that had run for a
 * minute begins anew. `previous` is what this function returned at the exit before, or null at the first.
 */
export function nextBackoff(previous: Backoff | null, ranMs: number): Backoff {
  if (previous === null || ranMs >= settledMs) return { delayMs: firstMs };
  return { delayMs: Math.min(previous.delayMs * 2, lastMs) };
}
