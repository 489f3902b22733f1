/**
 * The practice network's clock: network time runs `speed` times real time from an anchor that is kept on disk, so that
 * days pass in minutes and a restart does not move it. All instants are milliseconds since the epoch, UTC.
 */
export interface ClockAnchor {
  readonly realMs: number;
  readonly networkMs: number;
  readonly speed: number;
}

/** How often the extension sends a heartbeat, in real seconds: the shortest period that a browser's alarms allow. */
export const heartbeatSeconds = 30;

/** Returns the network time, in whole milliseconds, at the real time `realMs`. */
export function networkTime(anchor: ClockAnchor, realMs: number): number {
  return anchor.networkMs + Math.floor((realMs - anchor.realMs) * anchor.speed);
}

/** Returns an anchor from which the clock goes on at another speed, without a jump at `realMs`. */
export function withSpeed(anchor: ClockAnchor, realMs: number, speed: number): ClockAnchor {
  return { realMs, networkMs: networkTime(anchor, realMs), speed };
}

/**
 * Returns the longest network time between two heartbeats, in milliseconds, that still counts as one session: two and a
 * half periods, so that one lost heartbeat is forgiven and two are not.
 */
export function heartbeatTolerance(speed: number): number {
  return Math.floor(2.5 * heartbeatSeconds * 1000 * speed);
}
