/** What recovery does, to what, and what becomes of it: the words that the store, the API and the page share. */

/** The rungs, the mildest first. The last is a proposal to the operator: nothing is rebuilt from here. */
export const rungs = ["runtime", "workload", "reboot", "rebuild"] as const;
export type Rung = (typeof rungs)[number];

/** The rungs that a node is asked for by a verb. */
export type RecoverLayer = Exclude<Rung, "rebuild">;

/**
 * What can be wrong with a node. `unreachable`: its agent cannot be asked, or answers that nothing runs. `mute`: the
 * agent answers and no sample is taken. `software`: the machine is well and what runs on it is not. `verdict`: all of
 * that is well and the network says otherwise.
 */
export const troubleKinds = ["unreachable", "mute", "software", "verdict"] as const;
export type TroubleKind = (typeof troubleKinds)[number];

/**
 * What became of an action. `failed`: the node tried and could not. `refused`: it would not. `unavailable`: nothing of it
 * runs. `unreachable`: it never heard of it. `unknown`: it may have done it. `withdrawn`: nothing was sent.
 */
export const outcomes = [
  "done",
  "failed",
  "refused",
  "unavailable",
  "unreachable",
  "unknown",
  "withdrawn",
  "proposed",
] as const;
export type Outcome = (typeof outcomes)[number];

/** How an episode of trouble ended. */
export type EpisodeOutcome = "recovered" | "unsupported" | "stopped" | "replaced" | "left" | "off";
