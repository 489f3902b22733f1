const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/**
 * Returns a length of time (milliseconds) as a reader says it, rounded down and in at most two units: `12 s`, `3 min`,
 * `2 h 5 min`, `3 d 4 h`, and from ten days on `143 d`. A negative length, as clocks that disagree give, is `0 s`.
 */
export function formatDuration(ms: number): string {
  if (ms < second) return "0 s";
  if (ms < minute) return `${Math.floor(ms / second)} s`;
  if (ms < hour) return `${Math.floor(ms / minute)} min`;
  if (ms < day) return withRest(Math.floor(ms / hour), "h", Math.floor((ms % hour) / minute), "min");
  if (ms < 10 * day) return withRest(Math.floor(ms / day), "d", Math.floor((ms % day) / hour), "h");
  return `${Math.floor(ms / day)} d`;
}

function withRest(count: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${count} ${unit}` : `${count} ${unit} ${rest} ${restUnit}`;
}

/** Returns how long ago `at` was, seen from `now` (both epoch milliseconds): `just now`, `12 s ago`, `2 h 5 min ago`. */
export function formatAgo(at: number, now: number): string {
  return now - at < second ? "just now" : `${formatDuration(now - at)} ago`;
}

/** Returns the instant (epoch milliseconds) as `2026-10-03 12:03:04 UTC`. */
export function formatInstant(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Returns the epoch milliseconds of an RFC 3339 instant; `null` where the text is missing or is none. */
export function instantOf(text: string | null | undefined): number | null {
  const at = text === null || text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(at) ? null : at;
}
