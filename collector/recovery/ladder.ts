import { type EpisodeOutcome, type Outcome, type Rung, rungs, type TroubleKind } from "./rungs.ts";
import type { RecoverySettings } from "./settings.ts";
import { repairs } from "./settings.ts";
import { type LayersNow, type Standing, standingOf, type Trouble } from "./trouble.ts";

/** An action, as far as later decisions look at it. */
export interface PastAction {
  readonly rung: Rung;
  readonly decidedAt: Date;
  readonly endedAt: Date | null;
  readonly outcome: Outcome | null;
}

/** The trouble that a node is in, or was in a moment ago. Instants are of the collector's clock. */
export interface Episode {
  readonly id: string;
  readonly machineId: string;
  readonly trouble: TroubleKind;
  readonly troubleSince: Date;
  /** Since when nothing is wrong; null while something is. */
  readonly wellSince: Date | null;
  /** Actions of this episode, the oldest first. */
  readonly actions: readonly PastAction[];
  readonly standing: string;
}

/** A node of the inventory, or one that left it in the middle of an episode. */
export interface NodeCase {
  readonly id: number;
  readonly key: string;
  readonly group: string;
  readonly machineId: string;
  readonly power: "on" | "off";
  readonly gone: boolean;
  /** `<network>/<account>` that the node earns for; null where that was never read. */
  readonly account: string | null;
  readonly layers: LayersNow;
  readonly episode: Episode | null;
}

/** What recovery knows at one instant. */
export interface RecoveryPicture {
  readonly nodes: readonly NodeCase[];
  /** Every action that is open or was decided within `historyMs`, of any node, proposals left out. */
  readonly actions: readonly (PastAction & { readonly nodeId: number })[];
  /** Why nothing is done at present, or null. */
  readonly brake: { readonly cause: "fleet" | "operator" } | null;
  /** When the operator last released the brake. */
  readonly releasedAt: Date | null;
  /** Since when this collector watches. */
  readonly watchedSince: Date;
}

/** How far back limits look, in milliseconds. */
export const historyMs = 86_400_000;
const hourMs = 3_600_000;

/** An action that is not over after this long is given up: then it is withdrawn, unreachable or unknown. */
export const actionLifeMs = 600_000;

/** What an episode becomes. */
export type EpisodeChange =
  | { readonly kind: "open"; readonly node: NodeCase; readonly trouble: Trouble; readonly standing: string }
  | {
      readonly kind: "note";
      readonly episode: Episode;
      readonly trouble: Trouble | null;
      readonly troubleSince: Date;
      readonly wellSince: Date | null;
      readonly standing: string;
    }
  | { readonly kind: "close"; readonly episode: Episode; readonly outcome: EpisodeOutcome };

/** An action that is to be done, or proposed. */
export interface DueAction {
  readonly node: NodeCase;
  readonly episode: Episode;
  readonly rung: Rung;
  readonly trouble: Trouble;
}

/** What is to be done now. */
export interface Decision {
  readonly brake: { readonly kind: "set" | "release"; readonly reason: string } | null;
  readonly episodes: readonly EpisodeChange[];
  readonly actions: readonly DueAction[];
}

const ladders: Readonly<Record<TroubleKind, readonly Rung[]>> = {
  // No verb reaches it.
  unreachable: ["rebuild"],
  // Its agent is well; what should start it for samples is not.
  mute: ["reboot", "rebuild"],
  software: ["runtime", "workload", "reboot", "rebuild"],
  // A healthy machine is not rebooted for a word.
  verdict: ["runtime", "workload"],
};

/** Outcomes after which a rung counts as tried: the node did it, or will not, or may have. */
const tried: ReadonlySet<Outcome | null> = new Set<Outcome | null>([
  "done",
  "failed",
  "refused",
  "unknown",
  "proposed",
  null,
]);
/** Outcomes of what was never done: no time has to pass for it to work. */
const idle: ReadonlySet<Outcome | null> = new Set<Outcome | null>(["refused", "withdrawn"]);

/**
 * Returns what is to be done at `now`: at most one rung for each node, each only after the one before it was tried and
 * had its time, never beyond the settings' limits, and nothing at all while the brake is set.
 */
export function decide(picture: RecoveryPicture, settings: RecoverySettings, now: Date): Decision {
  const cases = picture.nodes.map((node) => ({ node, standing: standingNow(node, settings, now) }));
  const brake = brakeChange(picture, cases, settings, now);
  const braked = brake === null ? picture.brake !== null : brake.kind === "set";
  const outages = accountOutages(picture.nodes, settings);
  const budget = budgetOf(picture, settings, now);
  const episodes: EpisodeChange[] = [];
  const actions: DueAction[] = [];
  // Whoever waits longest comes first.
  const inTurn = cases.toSorted((one, other) => waitingSince(one.node) - waitingSince(other.node));
  for (const { node, standing } of inTurn) {
    const { episode } = node;
    const end = endOf(node, standing, settings, now);
    if (end !== null) {
      if (episode !== null) episodes.push({ kind: "close", episode, outcome: end });
      continue;
    }
    const trouble = standing.kind === "trouble" ? standing.trouble : null;
    if (episode === null) {
      if (trouble !== null)
        episodes.push({ kind: "open", node, trouble, standing: "It is given time to mend itself." });
      continue;
    }
    const changed = trouble !== null && trouble.kind !== episode.trouble;
    const troubleSince = changed ? now : episode.troubleSince;
    const wellSince = standing.kind === "well" && hasEnded(episode, node) ? (episode.wellSince ?? now) : null;
    const step =
      trouble === null
        ? { rung: null, why: wellSince === null ? "It is watched." : "It is well again and watched." }
        : nextStep({ node, episode, trouble, troubleSince }, { picture, settings, now, braked, outages, budget });
    if (step.rung !== null && trouble !== null) {
      actions.push({ node, episode, rung: step.rung, trouble });
      if (step.rung !== "rebuild") budget.spend(node.id);
    }
    if (changed || wellSince?.getTime() !== episode.wellSince?.getTime() || step.why !== episode.standing)
      episodes.push({ kind: "note", episode, trouble, troubleSince, wellSince, standing: step.why });
  }
  return { brake, episodes, actions };
}

interface Case {
  readonly node: NodeCase;
  readonly standing: Standing;
}

function standingNow(node: NodeCase, settings: RecoverySettings, now: Date): Standing {
  const rebooted = node.episode?.actions.some(
    ({ rung, outcome }) => rung === "reboot" && outcome !== "withdrawn" && outcome !== "refused",
  );
  return standingOf(node.layers, rebooted ?? false, settings.graceSeconds.software * 1_000, now);
}

function waitingSince({ episode }: NodeCase): number {
  return episode?.troubleSince.getTime() ?? Number.POSITIVE_INFINITY;
}

/** Returns how a node's episode ends now, whether or not there is one; null: it goes on. */
function endOf(node: NodeCase, standing: Standing, settings: RecoverySettings, now: Date): EpisodeOutcome | null {
  const { episode } = node;
  if (node.gone) return "left";
  if (node.power === "off" || standing.kind === "stopped") return "stopped";
  if (!repairs(settings, node.group)) return "off";
  if (episode === null) return null;
  if (episode.machineId !== node.machineId) return "replaced";
  if (standing.kind !== "well") return null;
  if (episode.trouble === "verdict" && node.layers.verdict?.class === "unsupported") return "unsupported";
  const steady = episode.wellSince !== null && passed(episode.wellSince, settings.steadySeconds, now);
  return steady && hasEnded(episode, node) ? "recovered" : null;
}

/** Whether a node in which nothing is wrong is rid of its trouble: a verdict that cannot be read is no good one. */
function hasEnded({ trouble }: Episode, { layers }: NodeCase): boolean {
  return trouble !== "verdict" || layers.verdict?.class === "good";
}

interface Budget {
  /** Returns why the node may not have an action now, or null. */
  refusal(nodeId: number): string | null;
  spend(nodeId: number): void;
}

function budgetOf({ actions }: RecoveryPicture, settings: RecoverySettings, now: Date): Budget {
  const { perNodePerDay, atOnce, perHour } = settings.limits;
  const since = (ms: number) => actions.filter(({ decidedAt }) => decidedAt.getTime() > now.getTime() - ms);
  const ofNode = new Map<number, number>();
  for (const { nodeId } of since(historyMs)) ofNode.set(nodeId, (ofNode.get(nodeId) ?? 0) + 1);
  let hour = since(hourMs).length;
  let under = actions.filter((action) => action.endedAt === null || isAtWork(action, settings, now)).length;
  return {
    refusal(nodeId) {
      const own = ofNode.get(nodeId) ?? 0;
      if (own >= perNodePerDay) return `It has had ${perNodePerDay} actions within a day, which is the limit.`;
      if (hour >= perHour) return `The fleet has had ${perHour} actions within an hour, which is the limit.`;
      return under >= atOnce ? `It waits for its turn: ${atOnce} nodes are seen to at once.` : null;
    },
    spend(nodeId) {
      ofNode.set(nodeId, (ofNode.get(nodeId) ?? 0) + 1);
      hour++;
      under++;
    },
  };
}

function isAtWork({ rung, endedAt, outcome }: PastAction, settings: RecoverySettings, now: Date): boolean {
  if (rung === "rebuild" || endedAt === null || idle.has(outcome)) return false;
  return !passed(endedAt, settings.waitSeconds[rung], now);
}

interface Step {
  readonly rung: Rung | null;
  /** Which rung and why, or why none: without a clock in it, so that it changes when the answer does. */
  readonly why: string;
}

function nextStep(
  { node, episode, trouble, troubleSince }: { node: NodeCase; episode: Episode; trouble: Trouble; troubleSince: Date },
  {
    picture,
    settings,
    now,
    braked,
    outages,
    budget,
  }: {
    picture: RecoveryPicture;
    settings: RecoverySettings;
    now: Date;
    braked: boolean;
    outages: ReadonlySet<string>;
    budget: Budget;
  },
): Step {
  const none = (why: string): Step => ({ rung: null, why });
  const { graceSeconds, waitSeconds } = settings;
  const last = episode.actions.at(-1);
  if (last !== undefined && last.endedAt === null) return none(`The ${last.rung} is under way.`);
  const rung = nextRung(trouble.kind, episode.actions);
  if (rung === null)
    return none(
      trouble.kind === "verdict"
        ? "What a healthy machine allows was tried: the verdict is the network's."
        : "All rungs were tried: it is the operator's turn.",
    );
  if (trouble.kind === "verdict" && node.account !== null && outages.has(node.account))
    return none(`Many nodes of ${node.account} have no good verdict at one time: that is the account's, not a node's.`);
  if (braked) return none("The brake is set: nothing is done.");
  const grace = graceSeconds[trouble.kind === "unreachable" || trouble.kind === "mute" ? "machine" : trouble.kind];
  if (!passed(troubleSince, grace, now)) return none("It is given time to mend itself.");
  if (!passed(picture.watchedSince, graceSeconds.start, now))
    return none("The collector has not watched for long enough since its start.");
  if (last !== undefined && last.endedAt !== null && last.rung !== "rebuild" && !idle.has(last.outcome)) {
    const wait = waitSeconds[trouble.kind === "verdict" ? "verdict" : last.rung];
    if (!passed(last.endedAt, wait, now)) return none(`The ${last.rung} is given time to work.`);
  }
  if (rung === "rebuild") return { rung, why: "A rebuild is proposed: it is the operator's turn." };
  const refusal = budget.refusal(node.id);
  return refusal === null ? { rung, why: `The ${rung} is under way.` } : none(refusal);
}

function nextRung(kind: TroubleKind, actions: readonly PastAction[]): Rung | null {
  const highest = Math.max(
    -1,
    ...actions.flatMap(({ rung, outcome }) => (tried.has(outcome) ? [rungs.indexOf(rung)] : [])),
  );
  return ladders[kind].find((rung) => rungs.indexOf(rung) > highest) ?? null;
}

/** Returns whether the brake is to be set or released, and why; null where it stays as it is. */
function brakeChange(
  { brake, releasedAt }: RecoveryPicture,
  cases: readonly Case[],
  settings: RecoverySettings,
  now: Date,
): Decision["brake"] {
  const should = cases.filter(({ node, standing }) => !node.gone && node.power === "on" && standing.kind !== "stopped");
  const failing = should.filter(({ node, standing }) => isFailing(node, standing)).length;
  const said = `${failing} of ${should.length} nodes that should run are in trouble`;
  const { share, count, overrideSeconds } = settings.brake;
  if (brake !== null) {
    // Half of what sets it: the brake does not come and go with one node.
    const few = failing < count / 2 || failing < (share / 2) * should.length;
    return brake.cause === "fleet" && few ? { kind: "release", reason: `${said}.` } : null;
  }
  if (failing < count || failing < share * should.length) return null;
  if (!should.some(({ node }) => repairs(settings, node.group))) return null;
  if (releasedAt !== null && !passed(releasedAt, overrideSeconds, now)) return null;
  return { kind: "set", reason: `${said} at one time.` };
}

/** What waits for the operator anyway is no part of a failure that goes on now. */
function isFailing({ episode }: NodeCase, standing: Standing): boolean {
  if (standing.kind !== "trouble" || standing.trouble.kind === "verdict") return false;
  return !(episode?.actions.some(({ rung }) => rung === "rebuild") ?? false);
}

/** Returns the accounts of which so many nodes have no good verdict that it cannot be the nodes'. */
function accountOutages(nodes: readonly NodeCase[], { account }: RecoverySettings): ReadonlySet<string> {
  const all = new Map<string, { told: number; bad: number }>();
  for (const node of nodes) {
    const { verdict } = node.layers;
    if (node.account === null || node.gone || node.power === "off" || verdict === undefined) continue;
    const seen = all.get(node.account) ?? { told: 0, bad: 0 };
    seen.told++;
    if (verdict.class === "bad" || verdict.class === "unknown") seen.bad++;
    all.set(node.account, seen);
  }
  return new Set(
    [...all].flatMap(([name, { told, bad }]) => (bad >= account.count && bad >= account.share * told ? [name] : [])),
  );
}

function passed(from: Date, seconds: number, now: Date): boolean {
  return now.getTime() >= from.getTime() + seconds * 1_000;
}
