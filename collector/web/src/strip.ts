import type { GapItem, LayerName, StateItem } from "../../api/types.ts";
import { instantOf } from "./time.ts";
import { type Tone, valueTone } from "./tone.ts";

/** A stretch `[from, to)` (epoch milliseconds) of a status strip, all of it one value. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly value: string;
  readonly tone: Tone;
  readonly reason: string;
}

/** How long a value held within what is on record, in milliseconds. */
export interface Share {
  readonly value: string;
  readonly tone: Tone;
  readonly ms: number;
}

/** Returns the layer's states within `[from, to)`, cut to it, oldest first. What no state covers is left open. */
export function stretchesOf(states: readonly StateItem[], layer: LayerName, from: number, to: number): Stretch[] {
  return states
    .filter((state) => state.layer === layer)
    .map((state) => ({
      from: Math.max(from, instantOf(state.from) ?? to),
      to: Math.min(to, instantOf(state.to) ?? to),
      value: state.value,
      tone: valueTone(layer, state.value, state.class),
      reason: state.reason,
    }))
    .filter((stretch) => stretch.from < stretch.to)
    .sort((a, b) => a.from - b.from);
}

/** Returns the gaps within `[from, to)`, cut to it, oldest first; a gap without an end lasts until `to`. */
export function gapStretches(gaps: readonly GapItem[], from: number, to: number): Stretch[] {
  return gaps
    .map((gap) => ({
      from: Math.max(from, instantOf(gap.from) ?? to),
      to: Math.min(to, instantOf(gap.to) ?? to),
      value: gap.kind,
      tone: "unknown" as const,
      reason: gap.reason,
    }))
    .filter((stretch) => stretch.from < stretch.to)
    .sort((a, b) => a.from - b.from);
}

/** Returns how long each value held, longest first. */
export function sharesOf(stretches: readonly Stretch[]): Share[] {
  const shares = new Map<string, Share>();
  for (const { from, to, value, tone } of stretches) {
    const ms = (shares.get(value)?.ms ?? 0) + to - from;
    shares.set(value, { value, tone, ms });
  }
  return [...shares.values()].sort((a, b) => b.ms - a.ms);
}

/**
 * Returns `part` of `whole` in percent with one decimal, rounded towards the middle: what is not all is never `100 %`,
 * and what is not nothing is never `0 %`. The space does not break.
 */
export function formatShare(part: number, whole: number): string {
  if (part >= whole) return "100\u00a0%";
  if (part <= 0) return "0\u00a0%";
  const tenths = Math.min(999, Math.max(1, Math.round((part / whole) * 1000)));
  return `${(tenths / 10).toFixed(1)}\u00a0%`;
}
