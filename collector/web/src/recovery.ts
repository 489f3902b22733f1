import type { RecoveryAction, RecoveryState } from "../../api/types.ts";
import type { Tone } from "./tone.ts";

/** How the repair of nodes stands, and the newest of what was done. */
export interface Recovery {
  readonly state: RecoveryState;
  /** The newest first. */
  readonly actions: readonly RecoveryAction[];
}

/** Returns what of it is about one node; the brake is about all. */
export function recoveryOf({ state, actions }: Recovery, key: string): Recovery {
  return {
    state: { ...state, nodes: state.nodes.filter(({ node }) => node === key) },
    actions: actions.filter(({ node }) => node === key),
  };
}

const rungWords: Readonly<Record<RecoveryAction["rung"], string>> = {
  runtime: "Restart of the runtime",
  workload: "Restart of the whole workload",
  reboot: "Reboot",
  rebuild: "Proposal of a rebuild",
};

const outcomeWords: Readonly<Record<NonNullable<RecoveryAction["outcome"]>, string>> = {
  done: "done",
  failed: "the node could not do it",
  refused: "the node refused",
  unavailable: "nothing runs there",
  unreachable: "the node was not reached",
  unknown: "it is not known whether it was done",
  withdrawn: "withdrawn before it was sent",
  proposed: "waits for you",
};

/** Returns what an action is and what became of it, for people, and the tone in which that is shown. */
export function wordsOf({ rung, outcome, episodeOutcome }: RecoveryAction): {
  readonly what: string;
  readonly became: string;
  readonly tone: Tone;
} {
  const what = rungWords[rung];
  if (outcome === null) return { what, became: "under way", tone: "unknown" };
  if (outcome === "proposed" && episodeOutcome !== null) return { what, became: "no longer needed", tone: "none" };
  const became = outcome === "done" && episodeOutcome === "recovered" ? "done, and it helped" : outcomeWords[outcome];
  return { what, became, tone: toneOf(outcome) };
}

function toneOf(outcome: NonNullable<RecoveryAction["outcome"]>): Tone {
  switch (outcome) {
    case "done":
      return "good";
    case "proposed":
    case "failed":
      return "warn";
    case "withdrawn":
      return "none";
    default:
      return "noted";
  }
}
