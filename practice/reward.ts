/**
 * The reward rule of Season 0 as the network's documents give it: 0.25 points for each 10 minutes of uptime, 0.75 points
 * to each side of a tap. Amounts are integers in units of 1/100 000 point. Instants and lengths are network time in
 * milliseconds; days are UTC days written `YYYYMMDD`. That uptime is rounded down to full 10 minutes once for each node
 * and day is the practice network's own reading of the rule.
 */

const unitsPerUptimeStep = 25_000n;
const uptimeStepMs = 600_000;
const unitsPerTap = 75_000n;
const dayMs = 86_400_000;

/** A heartbeat that arrived. One that does not count (of a node that the network does not support) ends a session. */
export interface Arrival {
  readonly at: number;
  readonly counted: boolean;
}

/** Uptime that fell into one day. */
export interface DayUptime {
  readonly day: string;
  readonly ms: number;
}

/** Returns the UTC day of the instant `ms`. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10).replaceAll("-", "");
}

/**
 * Returns the uptime that the arrival `next` adds to a node whose last arrival was `previous` (null for none), split by
 * day, in order. It is empty unless both count and lie at most `toleranceMs` apart: time that was not heard earns nothing.
 */
export function uptimeAdded(previous: Arrival | null, next: Arrival, toleranceMs: number): readonly DayUptime[] {
  if (previous === null || !previous.counted || !next.counted) return [];
  if (next.at <= previous.at || next.at - previous.at > toleranceMs) return [];
  const added: DayUptime[] = [];
  let from = previous.at;
  while (from < next.at) {
    const midnight = (Math.floor(from / dayMs) + 1) * dayMs;
    const to = Math.min(next.at, midnight);
    added.push({ day: dayOf(from), ms: to - from });
    from = to;
  }
  return added;
}

/** Returns the uptime of each day that these arrivals, in their order, prove; days without any are absent. */
export function uptimeByDay(arrivals: readonly Arrival[], toleranceMs: number): ReadonlyMap<string, number> {
  const days = new Map<string, number>();
  let previous: Arrival | null = null;
  for (const next of arrivals) {
    for (const { day, ms } of uptimeAdded(previous, next, toleranceMs)) days.set(day, (days.get(day) ?? 0) + ms);
    previous = next;
  }
  return days;
}

/** Returns what a node earned on a day, in units, for its uptime of that day and the taps it took part in. */
export function unitsEarned(uptimeMs: number, taps: number): bigint {
  return BigInt(Math.floor(uptimeMs / uptimeStepMs)) * unitsPerUptimeStep + BigInt(taps) * unitsPerTap;
}
