import type { EndCensoring, LayerName, StartCensoring, VerdictClass } from "../api/types.ts";

/**
 * What a layer's value rests on. `silence` and `status` are the collector's own observations of a node that sends nothing:
 * they give way to the node's lines when these arrive late.
 */
export type Evidence =
  | { readonly kind: "line"; readonly journal: string; readonly n: number }
  | { readonly kind: "lines-missing"; readonly journal: string; readonly after: number }
  | { readonly kind: "silence"; readonly after: string }
  | { readonly kind: "status"; readonly alive: false }
  | { readonly kind: "inventory"; readonly writtenAt: string }
  | { readonly kind: "reading"; readonly reading: string }
  | { readonly kind: "no-reading"; readonly after: string }
  | { readonly kind: "descriptor" };

/** A layer takes a value at an instant of the evidence's own clock. */
export interface LayerChange {
  readonly layer: LayerName;
  readonly at: Date;
  readonly value: string;
  readonly class?: VerdictClass;
  readonly reason: string;
  readonly evidence: Evidence;
  /** The instant is that of the change itself, told by an event; absent: a look found it so. */
  readonly byEvent?: true;
}

/** A stretch `[from, to)` with one value. `id` is null until it is stored; `to` is null while it lasts. */
export interface Stretch {
  readonly id: string | null;
  readonly value: string;
  readonly class: VerdictClass | null;
  readonly reason: string;
  readonly from: Date;
  readonly to: Date | null;
  readonly asOf: Date;
  readonly evidence: Evidence;
  /** What told that it began; null where an earlier release did not note it. */
  readonly begunBy: BegunBy | null;
  /** How far its ends were seen: what `censored` makes of its neighbours. */
  readonly startCensoring: StartCensoring;
  readonly endCensoring: EndCensoring;
}

/** An event of the node's own, a look that found it so, or the operator, by the inventory. */
export type BegunBy = "event" | "look" | "inventory";

/** The stretches of one layer in the order of time, without holes between them. */
export type Timeline = readonly Stretch[];

/**
 * Returns the timeline with `change` in its place: late evidence about the past splits the stretch it falls into and
 * leaves what is known of later instants. Evidence for the value that already stands only makes it fresher.
 */
export function withChange(timeline: Timeline, change: LayerChange): Timeline {
  const at = change.at.getTime();
  const fresh: Stretch = {
    id: null,
    value: change.value,
    class: change.class ?? null,
    reason: change.reason,
    from: change.at,
    to: null,
    asOf: change.at,
    evidence: change.evidence,
    begunBy: change.byEvent === true ? "event" : change.evidence.kind === "inventory" ? "inventory" : "look",
    startCensoring: "left",
    endCensoring: "right",
  };
  const index = timeline.findIndex(({ from, to }) => from.getTime() <= at && (to === null || at < to.getTime()));
  const here = timeline[index];
  if (here === undefined) {
    const [first] = timeline;
    if (first === undefined) return [fresh];
    // Only an instant before the first stretch lies outside of all of them.
    if (sameValue(first, fresh)) {
      return [{ ...first, from: change.at, begunBy: fresh.begunBy }, ...timeline.slice(1)];
    }
    return [{ ...fresh, to: first.from }, ...timeline];
  }
  if (sameValue(here, fresh)) {
    const newest = here.to === null && here.reason !== fresh.reason && at >= here.asOf.getTime();
    const asOf = at > here.asOf.getTime() ? change.at : here.asOf;
    const kept = newest ? { ...here, asOf, reason: fresh.reason, evidence: fresh.evidence } : { ...here, asOf };
    return timeline.with(index, kept);
  }
  const before = timeline.slice(0, index);
  const after = timeline.slice(index + 1);
  const [next] = after;
  const left: Stretch[] =
    here.from.getTime() === at
      ? []
      : [{ ...here, to: change.at, asOf: here.asOf.getTime() < at ? here.asOf : change.at }];
  const previous = left[0] ?? before.at(-1);
  if (next !== undefined && sameValue(next, fresh)) {
    return mergeEnd([...before, ...left], { ...next, from: change.at, begunBy: fresh.begunBy }, after.slice(1));
  }
  const placed: Stretch = { ...fresh, id: left.length === 0 ? here.id : null, to: here.to };
  return previous !== undefined && sameValue(previous, placed)
    ? mergeEnd([...before, ...left], placed, after)
    : [...before, ...left, placed, ...after];
}

/** Joins `middle` with the stretch before it where both have one value. */
function mergeEnd(before: readonly Stretch[], middle: Stretch, after: readonly Stretch[]): Timeline {
  const previous = before.at(-1);
  if (previous === undefined || !sameValue(previous, middle)) return [...before, middle, ...after];
  const asOf = previous.asOf.getTime() > middle.asOf.getTime() ? previous.asOf : middle.asOf;
  return [...before.slice(0, -1), { ...previous, to: middle.to, asOf }, ...after];
}

/**
 * Returns the timeline without what the collector concluded from silence after `line`: a line of that instant has come
 * after all. The value that stood before the silence stands again until the lines themselves say otherwise.
 */
export function withoutSilence(timeline: Timeline, line: Date): Timeline {
  let kept: Timeline = timeline;
  for (let last = kept.at(-1); last !== undefined && isSilence(last, line); last = kept.at(-1)) {
    const previous = kept.at(-2);
    if (previous === undefined) return [];
    kept = [...kept.slice(0, -2), { ...previous, to: last.to }];
  }
  return kept;
}

/**
 * Returns the stretches of `after` with what their neighbours say of how far their ends were seen, in the sense of survival
 * analysis. `before` is what `after` was made from: where a timeline is known in part, its first stretch keeps how it began
 * as long as nothing about that changed.
 */
export function censored(before: Timeline, after: Timeline): Timeline {
  const [first] = before;
  const starts = after.map((stretch, index): StartCensoring => {
    const previous = after[index - 1];
    const unchanged =
      first !== undefined && first.id === stretch.id && sameValue(first, stretch) && sameStart(first, stretch);
    if (index === 0 && unchanged) return first.startCensoring;
    // Since when nothing is known is known.
    if (isHole(stretch) || stretch.begunBy === "event") return "none";
    if (previous === undefined || isHole(previous)) return "left";
    return stretch.begunBy === null ? "unknown" : "interval";
  });
  return after.map((stretch, index) => {
    const startCensoring = starts[index] as StartCensoring;
    const endCensoring = endOf(stretch, after[index + 1], starts[index + 1]);
    return startCensoring === stretch.startCensoring && endCensoring === stretch.endCensoring
      ? stretch
      : { ...stretch, startCensoring, endCensoring };
  });
}

function endOf(stretch: Stretch, next: Stretch | undefined, start: StartCensoring | undefined): EndCensoring {
  // What came after it shows where a hole ends.
  if (isHole(stretch) && next !== undefined) return "none";
  if (next === undefined || start === undefined || start === "left" || isHole(next)) return "right";
  // The operator ended it, and not what the stretch is about.
  return next.begunBy === "inventory" ? "right" : start;
}

/** A stretch in which nothing was known of the layer. */
function isHole({ value }: Stretch): boolean {
  return value === "unknown";
}

function sameStart(one: Stretch, other: Stretch): boolean {
  return one.from.getTime() === other.from.getTime() && one.begunBy === other.begunBy;
}

function isSilence(stretch: Stretch, line: Date): boolean {
  const { kind } = stretch.evidence;
  return (kind === "silence" || kind === "status") && stretch.from.getTime() > line.getTime();
}

function sameValue(one: Stretch, other: Stretch): boolean {
  return one.value === other.value && one.class === other.class;
}
