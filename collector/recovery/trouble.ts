import type { LayerName, VerdictClass } from "../api/types.ts";
import { silence } from "../states/lines.ts";
import type { Evidence } from "../states/timeline.ts";
import type { TroubleKind } from "./rungs.ts";

/** A layer as it stands. */
export interface LayerNow {
  readonly value: string;
  readonly class: VerdictClass | null;
  readonly reason: string;
  readonly since: Date;
  readonly evidence: Evidence;
}

export type LayersNow = Readonly<Partial<Record<LayerName, LayerNow>>>;

/** What is wrong with a node, and the layer that says so. */
export interface Trouble {
  readonly kind: TroubleKind;
  readonly layer: LayerName;
  readonly now: LayerNow;
}

/** How a node stands: stopped as planned, in trouble, well, or not known well enough for either. */
export type Standing =
  | { readonly kind: "stopped" }
  | { readonly kind: "trouble"; readonly trouble: Trouble }
  | { readonly kind: "well" }
  | { readonly kind: "unclear" };

/**
 * Returns how a node stands by its layers at `now`. `rebooted`: a reboot was asked of it, so that a node that says it
 * was stopped is one that did not come back. What is only starting is no trouble, and is waited for for `startMs`.
 * `Unsupported` and words that no class is known for are results, and never trouble.
 */
export function standingOf(
  { machine, runtime, app, verdict }: LayersNow,
  rebooted: boolean,
  startMs: number,
  now: Date,
): Standing {
  if (machine === undefined) return { kind: "unclear" };
  const trouble = (kind: TroubleKind, layer: LayerName, at: LayerNow): Standing => ({
    kind: "trouble",
    trouble: { kind, layer, now: at },
  });
  if (machine.value === "down") {
    // A node says by a line of its own that it is being stopped; that nothing runs is what its agent answers.
    const planned = machine.evidence.kind === "inventory" || (machine.evidence.kind === "line" && !rebooted);
    return planned ? { kind: "stopped" } : trouble("unreachable", "machine", machine);
  }
  if (machine.value === "unknown") {
    if (machine.evidence.kind !== "silence") return { kind: "unclear" };
    return trouble(machine.reason === silence.unasked ? "unreachable" : "mute", "machine", machine);
  }
  for (const [layer, at] of [
    ["runtime", runtime],
    ["app", app],
  ] as const) {
    if (at === undefined || at.value === "up") continue;
    if (at.reason !== "starting") return trouble("software", layer, at);
    // A workload whose app nobody probes is never more than that.
    if (now.getTime() < at.since.getTime() + startMs) return { kind: "unclear" };
  }
  if (verdict?.class === "bad") return trouble("verdict", "verdict", verdict);
  return { kind: "well" };
}
