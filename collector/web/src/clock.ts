/**
 * The page's one clock: it ticks once a second for everything that shows an age, and it is set by the collector's own
 * clock, so that a computer whose clock is wrong still says rightly how old a value is.
 */

const listeners = new Set<() => void>();
let offset = 0;
let tick = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

/** Returns the collector's time (epoch milliseconds) as of the last tick: the same number until the next one. */
export function tickedNow(): number {
  return tick;
}

/** Returns the collector's time now (epoch milliseconds), as well as it is known. */
export function collectorNow(): number {
  return Date.now() + offset;
}

/**
 * Sets the clock by the `Date` header of an answer. The header counts in whole seconds and travelled a while, so only a
 * difference of more than two seconds says anything.
 */
export function setClock(dateHeader: string | null): void {
  const server = dateHeader === null ? Number.NaN : Date.parse(dateHeader);
  if (Number.isNaN(server)) return;
  const difference = server + 500 - Date.now();
  offset = Math.abs(difference) > 2000 ? difference : 0;
}

/** Calls `listener` after each tick until the function it returns is called. The clock rests while nobody listens. */
export function onTick(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    tick = collectorNow();
    for (const each of listeners) each();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}
