import type { Channel } from "./settings.ts";

/**
 * Returns whether `now` lies in the channel's quiet hours `[from, to)`, by the clock on the wall of their time zone: in a
 * night of a change of time they are as much longer or shorter as the night.
 */
export function isQuiet(quiet: Channel["quiet"], now: Date): boolean {
  if (quiet === undefined) return false;
  const { from, to, zone } = quiet;
  const wall = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).format(now);
  return from <= to ? wall >= from && wall < to : wall >= from || wall < to;
}
