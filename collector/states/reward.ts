import type { LayerChange } from "./timeline.ts";

/** What the reward layer has to remember between two readings. `units` are the smallest unit, as text. */
export interface RewardMemory {
  readonly networkNodeId: string;
  readonly units: string;
  /** When the points were first read as more than before, RFC 3339; null: never yet. */
  readonly increasedAt: string | null;
  /** When they were last read. */
  readonly at: string;
}

/** One reading of a node's points. */
export interface PointsRead {
  readonly networkNodeId: string;
  readonly units: bigint;
  readonly at: Date;
  readonly reading: string;
}

/**
 * Returns what a reading of a node's points makes of its reward layer: `earning` from the reading that shows an increase
 * until none was seen for `stallMs`, then `stalled`; `zero` while there are none; `unknown` where one reading cannot tell.
 */
export function foldReward(
  before: RewardMemory | null,
  read: PointsRead,
  stallMs: number,
): { readonly memory: RewardMemory; readonly change: LayerChange } {
  const known = before?.networkNodeId === read.networkNodeId ? before : null;
  const was = known === null ? null : BigInt(known.units);
  const increasedAt = was !== null && read.units > was ? read.at.toISOString() : (known?.increasedAt ?? null);
  const fell = was !== null && read.units < was;
  const memory: RewardMemory = {
    networkNodeId: read.networkNodeId,
    units: read.units.toString(),
    increasedAt: fell ? null : increasedAt,
    at: read.at.toISOString(),
  };
  const [value, reason] = standing(read, was, memory.increasedAt, stallMs, known);
  return {
    memory,
    change: { layer: "reward", at: read.at, value, reason, evidence: { kind: "reading", reading: read.reading } },
  };
}

function standing(
  read: PointsRead,
  was: bigint | null,
  increasedAt: string | null,
  stallMs: number,
  known: RewardMemory | null,
): [value: "earning" | "zero" | "stalled" | "unknown", reason: string] {
  if (was !== null && read.units < was) return ["unknown", "the points fell: a new season, or a deduction"];
  if (increasedAt !== null) {
    return read.at.getTime() - Date.parse(increasedAt) <= stallMs
      ? ["earning", "its points grow"]
      : ["stalled", "its points no longer grow"];
  }
  if (read.units === 0n) return ["zero", "the network reports no points"];
  return known === null
    ? ["unknown", "read once so far"]
    : ["stalled", "its points have not grown since they were first read"];
}
