import type { VerdictClass } from "../api/types.ts";
import type { LayerChange } from "./timeline.ts";

const classes: Readonly<Record<string, VerdictClass>> = {
  Good: "good",
  Disconnected: "bad",
  Unsupported: "unsupported",
  Suspended: "unsupported",
};

/** Returns our class of a network's words; words never seen before are `unknown`, never guessed. */
function classOf(verdict: string): VerdictClass {
  return Object.hasOwn(classes, verdict) ? (classes[verdict] as VerdictClass) : "unknown";
}

/** Returns the change that a reading of a network's verdict makes: its words verbatim, with our class beside them. */
export function changeOfVerdict(verdict: string, reason: string | null, at: Date, reading: string): LayerChange {
  return {
    layer: "verdict",
    at,
    value: verdict,
    class: classOf(verdict),
    reason: reason ?? "the network's own word",
    evidence: { kind: "reading", reading },
  };
}
