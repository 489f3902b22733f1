import type { VerdictClass } from "../api/types.ts";
import type { LayerChange } from "./timeline.ts";

/** Returns the change that a reading of a network's verdict makes: its words verbatim, with the adapter's class. */
export function changeOfVerdict(
  verdict: string,
  verdictClass: VerdictClass,
  reason: string | null,
  at: Date,
  reading: string,
): LayerChange {
  return {
    layer: "verdict",
    at,
    value: verdict,
    class: verdictClass,
    reason: reason ?? "the network's own word",
    evidence: { kind: "reading", reading },
  };
}
