import type { JournalLine } from "../../cloud-init/agent/line.ts";

/** Sums of a node's lines over the stretch that begins at `at`. Bytes are bytes; null was never measured. */
export interface Rollup {
  readonly at: Date;
  readonly samples: number;
  readonly events: number;
  /** Milliseconds that the samples stand for: each its distance to the next. */
  readonly coveredMs: number;
  readonly runtimeUp: number;
  readonly runtimeTold: number;
  readonly appUp: number;
  readonly appTold: number;
  readonly restartsMax: number | null;
  readonly pssCount: number;
  readonly pssSum: bigint;
  readonly pssMax: number | null;
  readonly memoryAvailableMin: number | null;
  readonly diskFreeMin: number | null;
}

/** The lengths of the stretches, in milliseconds. */
export const rollupMs = { hour: 3_600_000, day: 86_400_000 } as const;

// A sample stands for an hour at most, whatever it says of its distance.
const longestSampleMs = 3_600_000;

/** Returns the sums of `lines` over each stretch of `lengthMs` that has any, in the order of time. */
export function rollUp(lines: readonly JournalLine[], lengthMs: number): Rollup[] {
  const found = new Map<number, Rollup>();
  for (const line of lines) {
    const at = Math.floor(Date.parse(line.at) / lengthMs) * lengthMs;
    const one = rollupOfLine(line, new Date(at));
    const before = found.get(at);
    found.set(at, before === undefined ? one : joinRollups(before, one));
  }
  return [...found.values()].toSorted((one, other) => one.at.getTime() - other.at.getTime());
}

/** Returns the sums of both: of the same stretch. The order plays no part. */
export function joinRollups(one: Rollup, other: Rollup): Rollup {
  return {
    at: one.at,
    samples: one.samples + other.samples,
    events: one.events + other.events,
    coveredMs: one.coveredMs + other.coveredMs,
    runtimeUp: one.runtimeUp + other.runtimeUp,
    runtimeTold: one.runtimeTold + other.runtimeTold,
    appUp: one.appUp + other.appUp,
    appTold: one.appTold + other.appTold,
    restartsMax: most(one.restartsMax, other.restartsMax),
    pssCount: one.pssCount + other.pssCount,
    pssSum: one.pssSum + other.pssSum,
    pssMax: most(one.pssMax, other.pssMax),
    memoryAvailableMin: least(one.memoryAvailableMin, other.memoryAvailableMin),
    diskFreeMin: least(one.diskFreeMin, other.diskFreeMin),
  };
}

function rollupOfLine(line: JournalLine, at: Date): Rollup {
  const sample = line.kind === "sample" ? 1 : 0;
  const { machine, runtime, app } = sample === 1 ? line : {};
  const pss = measured(runtime?.pss_bytes);
  const distance = Math.round(line.every_s * 1000);
  return {
    at,
    samples: sample,
    events: 1 - sample,
    coveredMs: sample === 1 && distance > 0 ? Math.min(distance, longestSampleMs) : 0,
    runtimeUp: runtime?.state === "up" ? 1 : 0,
    runtimeTold: runtime?.state === undefined ? 0 : 1,
    appUp: app?.state === "up" ? 1 : 0,
    appTold: app?.state === undefined ? 0 : 1,
    restartsMax: measured(runtime?.restarts),
    pssCount: pss === null ? 0 : 1,
    pssSum: BigInt(pss ?? 0),
    pssMax: pss,
    memoryAvailableMin: measured(machine?.mem_available_bytes),
    diskFreeMin: measured(machine?.disk_free_bytes),
  };
}

/** A line's fields are what some agent wrote: only a count is taken as one. */
function measured(value: unknown): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

function most(one: number | null, other: number | null): number | null {
  return one === null ? other : other === null ? one : Math.max(one, other);
}

function least(one: number | null, other: number | null): number | null {
  return one === null ? other : other === null ? one : Math.min(one, other);
}
