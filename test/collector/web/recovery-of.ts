import type { RecoveryAction, RecoveryState } from "../../../collector/api/types.ts";
import { ago } from "./fleet-of.ts";

/** A node in trouble, with `more` as given. */
export function troubleOf(
  node: string,
  more: Partial<RecoveryState["nodes"][number]> = {},
): RecoveryState["nodes"][number] {
  return {
    node,
    trouble: "software",
    reason: "app unknown: not measured: timeout",
    since: ago(1_200),
    wellSince: null,
    standing: "The runtime is given time to work.",
    ...more,
  };
}

/** An action that was done for `home/0`, with `more` as given. */
export function actionOf(id: number, more: Partial<RecoveryAction> = {}): RecoveryAction {
  return {
    id: String(id),
    action: `00000000-0000-4000-8000-${String(id).padStart(12, "0")}`,
    node: "home/0",
    machineId: "m0",
    trouble: "software",
    rung: "runtime",
    reason: "runtime down: exit-7",
    evidence: { layer: "runtime", value: "down" },
    decidedAt: ago(600 - id),
    sentAt: ago(600 - id),
    attempts: 1,
    endedAt: ago(595 - id),
    outcome: "done",
    detail: null,
    episodeOutcome: null,
    ...more,
  };
}

/** The change of config that a proposal names. */
export const proposedChange =
  "Add 0 to gradientlab:fleet.groups.home.retired: home/0 is deleted, its slot is never used again, and a new slot of the group takes its place; what the network counts for the old identity stays there. Then preview and apply the stack.";
