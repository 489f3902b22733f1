import type { LayerName, VerdictClass } from "../api/types.ts";

/** How much an alert matters: `critical` is told in quiet hours too, and told again where nobody acknowledges it. */
export const severities = ["info", "warning", "critical"] as const;
export type Severity = (typeof severities)[number];

/** How a rule behaves where the settings say nothing else. */
export interface RuleDefault {
  readonly severity: Severity;
  /** How long what it looks for has to last before it is an alert, in seconds. */
  readonly graceSeconds: number;
  /** What it looks for, for people. */
  readonly means: string;
  /** What a message of several says, to be read after their number. */
  readonly many: string;
}

const hour = 3_600;
const day = 24 * hour;

/** Every rule there is. */
export const rules = {
  "node-silent": {
    severity: "critical",
    graceSeconds: 300,
    means: "nothing is heard of a node that should run",
    many: "nodes are silent or down",
  },
  "workload-down": {
    severity: "warning",
    graceSeconds: 600,
    means: "a node answers and its workload does not run",
    many: "nodes answer and their workload does not run",
  },
  "machine-degraded": {
    severity: "warning",
    graceSeconds: 600,
    means: "a node's disk or memory is nearly used up",
    many: "nodes have little disk or memory left",
  },
  "verdict-bad": {
    severity: "warning",
    graceSeconds: 600,
    means: "the network calls a node anything but good",
    many: "nodes are called anything but good",
  },
  "reward-stalled": {
    severity: "warning",
    graceSeconds: 0,
    means: "a node's points no longer grow",
    many: "nodes earn no more points",
  },
  "identity-changed": {
    severity: "critical",
    graceSeconds: 0,
    means: "a node became another one to its network",
    many: "changes of identity",
  },
  security: {
    severity: "critical",
    graceSeconds: 0,
    means: "a node was changed or misused from outside",
    many: "signs of a change or misuse from outside",
  },
  "security-notice": {
    severity: "warning",
    graceSeconds: 0,
    means: "a node's safety needs a look",
    many: "notices about the safety of nodes",
  },
  "account-unread": {
    severity: "critical",
    graceSeconds: 0,
    means: "a network's account could not be read",
    many: "accounts could not be read",
  },
  "answer-not-understood": {
    severity: "warning",
    graceSeconds: 0,
    means: "a network answered in an unknown shape",
    many: "answers of networks were refused or not understood",
  },
  "collector-behind": {
    severity: "warning",
    graceSeconds: 900,
    means: "a due time has passed and nothing was done",
    many: "jobs are overdue",
  },
  "channel-down": {
    severity: "warning",
    graceSeconds: 300,
    means: "a channel does not take messages",
    many: "channels do not take messages",
  },
  "recovery-braked": {
    severity: "critical",
    graceSeconds: 60,
    means: "so many nodes fail at once that none is repaired",
    many: "brakes of recovery are set",
  },
  "node-needs-rebuild": {
    severity: "warning",
    graceSeconds: 60,
    means: "nothing short of another machine helps a node",
    many: "nodes need another machine",
  },
  "phase-ends": {
    severity: "warning",
    graceSeconds: 0,
    means: "a grant phase or a free period ends soon",
    many: "phases or free periods end",
  },
  "over-budget": {
    severity: "critical",
    graceSeconds: 0,
    means: "the fleet costs more than its phase allows",
    many: "fleets cost more than their phase allows",
  },
} as const satisfies Readonly<Record<string, RuleDefault>>;

export type RuleName = keyof typeof rules;
export const ruleNames = Object.keys(rules) as RuleName[];

/** What the collector knows at one instant, as far as rules look at it. */
export interface Picture {
  readonly nodes: readonly NodePicture[];
  /** Events of nodes that the collector learnt of within `eventMs`. */
  readonly events: readonly EventPicture[];
  /** Accounts that are not read at present: from the last understood answer on. */
  readonly unread: readonly { readonly account: string; readonly from: Date; readonly reason: string }[];
  /** How the last run of each job that is on the schedule ended. */
  readonly runs: readonly {
    readonly job: string;
    readonly at: Date;
    readonly outcome: string;
    readonly reason: string;
  }[];
  /** Jobs with a due time that was neither run nor given up, the oldest of each. */
  readonly overdue: readonly { readonly job: string; readonly due: Date }[];
  /** Channels that have not taken a message yet that was tried: since when, and what the other side last said. */
  readonly refusing: readonly { readonly channel: string; readonly since: Date; readonly reason: string }[];
  /** The brake of recovery where many failing nodes set it, and the rebuilds that wait for the operator. */
  readonly recovery: {
    readonly braked: { readonly since: Date; readonly reason: string } | null;
    readonly proposals: readonly {
      readonly node: string;
      readonly at: Date;
      readonly reason: string;
      readonly change: string;
    }[];
  };
  readonly fleet: FleetPicture | null;
}

/** A node of the inventory and its layers as they stand. */
export interface NodePicture {
  readonly key: string;
  readonly power: "on" | "off";
  readonly layers: Readonly<Partial<Record<LayerName, LayerPicture>>>;
  /** What its workload calls the layers. */
  readonly names: Readonly<Record<LayerName, string>>;
}

interface LayerPicture {
  readonly value: string;
  readonly class: VerdictClass | null;
  readonly reason: string;
  readonly since: Date;
}

/** The events of one name of one node. */
interface EventPicture {
  readonly node: string;
  readonly name: string;
  readonly count: number;
  readonly first: Date;
  readonly last: Date;
}

/** What the inventory in force says of time and money. */
interface FleetPicture {
  readonly stack: string;
  readonly phase: { readonly name: string; readonly end: Date | null; readonly budgetMicroUsdPerMonth: number } | null;
  readonly freeUntil: readonly { readonly account: string; readonly at: Date }[];
  readonly microUsdPerMonth: number;
  readonly writtenAt: Date;
}

/** Something that holds now and that somebody should know of. */
export interface Condition {
  readonly rule: RuleName;
  readonly subject: string;
  /** One sentence: what is so. */
  readonly summary: string;
  /** One sentence: what to do. */
  readonly fix: string;
  /** Since when, by the clock of its evidence. */
  readonly since: Date;
}

/** How long an event is told of after the collector learnt of it, in milliseconds: a day without another one ends it. */
export const eventMs = day * 1_000;

/** How long before its end a phase is told of, in milliseconds. */
const aheadMs = 30 * day * 1_000;

/** Returns everything that holds in `picture` at `now`, whether or not it has lasted long enough to be an alert. */
export function conditionsIn(picture: Picture, now: Date): Condition[] {
  return [
    ...picture.nodes.flatMap((node) => (node.power === "off" ? [] : conditionsOfNode(node))),
    ...picture.events.flatMap(conditionsOfEvent),
    ...picture.unread.map(({ account, from, reason }) => ({
      rule: "account-unread" as const,
      subject: account,
      summary: `${account} was not read since ${minute(from)}: ${reason}.`,
      fix: "Look at the account in a browser of your own, and at its file; what the network asks of you there, do by hand.",
      since: from,
    })),
    ...picture.runs.flatMap(conditionsOfRun),
    ...picture.overdue.map(({ job, due }) => ({
      rule: "collector-behind" as const,
      subject: job,
      summary: `The due time ${minute(due)} of ${job} has passed and nothing was done.`,
      fix: "Look into the collector's log, and whether its machine has memory and processor time left.",
      since: due,
    })),
    ...picture.refusing.map(({ channel, since, reason }) => ({
      rule: "channel-down" as const,
      subject: channel,
      summary: `The channel ${channel} has not taken messages since ${minute(since)}: ${reason}.`,
      fix: "Correct the channel in the alert settings; what waits for it is sent for a week.",
      since,
    })),
    ...conditionsOfRecovery(picture.recovery),
    ...(picture.fleet === null ? [] : conditionsOfFleet(picture.fleet, now)),
  ];
}

function conditionsOfRecovery({ braked, proposals }: Picture["recovery"]): Condition[] {
  return [
    ...(braked === null
      ? []
      : [
          {
            rule: "recovery-braked" as const,
            subject: "recovery",
            summary: `No node is repaired since ${minute(braked.since)}: ${braked.reason}`,
            fix: "Look for what they have in common: a provider, a network, this machine. Release the brake on the page, or wait until few are left.",
            since: braked.since,
          },
        ]),
    ...proposals.map(({ node, at, reason, change }) => ({
      rule: "node-needs-rebuild" as const,
      subject: node,
      summary: `${node} needs another machine, as nothing else helped (${reason}).`,
      fix: change,
      since: at,
    })),
  ];
}

function conditionsOfNode({ key, layers, names }: NodePicture): Condition[] {
  const { machine, runtime, app, verdict, reward } = layers;
  if (machine !== undefined && (machine.value === "unknown" || machine.value === "down")) {
    // What rests on a machine of which nothing is heard is not told of beside it.
    return [
      {
        rule: "node-silent",
        subject: key,
        summary: `${key} is ${machine.value === "down" ? "down" : "silent"} since ${minute(machine.since)}: ${machine.reason}.`,
        fix: "Look whether its machine runs and can be reached; its journal tells later what happened.",
        since: machine.since,
      },
    ];
  }
  const found: Condition[] = [];
  if (machine?.value === "degraded") {
    found.push({
      rule: "machine-degraded",
      subject: key,
      summary: `${key}: ${machine.reason}, since ${minute(machine.since)}.`,
      fix: "Look at what grows on it; restart its workload, or give the group a larger size.",
      since: machine.since,
    });
  }
  const broken = (
    [
      ["runtime", runtime],
      ["app", app],
    ] as const
  ).find(([, layer]) => layer !== undefined && layer.value !== "up" && layer.reason !== "starting");
  if (broken?.[1] !== undefined) {
    const [layer, { value, reason, since }] = broken;
    found.push({
      rule: "workload-down",
      subject: key,
      summary: `The ${names[layer]} of ${key} is ${value} since ${minute(since)}: ${reason}.`,
      fix: "Look into the node's journal and logs; it is restarted by its machine, so that a lasting fault needs you.",
      since,
    });
  }
  if (verdict !== undefined && isBad(verdict)) {
    found.push({
      rule: "verdict-bad",
      subject: key,
      summary: `The network calls ${key} ${JSON.stringify(verdict.value)} since ${minute(verdict.since)}.`,
      fix:
        verdict.class === "unsupported"
          ? "The network does not take this address: this is a result, and nothing to repair."
          : "Compare the node's own layers: a healthy machine with a bad verdict is the network's view of it.",
      since: verdict.since,
    });
  }
  if (reward?.value === "stalled") {
    found.push({
      rule: "reward-stalled",
      subject: key,
      summary: `The points of ${key} stand still since ${minute(reward.since)}: ${reward.reason}.`,
      fix: "Compare its verdict and the other nodes of its account: one node alone is its own trouble, all are the network's.",
      since: reward.since,
    });
  }
  return found;
}

/** A word of the network that no class is known for counts as bad: somebody has to read it. */
function isBad({ value, class: own }: LayerPicture): boolean {
  return own === "bad" || own === "unsupported" || (own === "unknown" && value !== "unknown" && value !== "none");
}

interface WatchedEvent {
  readonly rule: "security" | "security-notice" | "identity-changed";
  /** What it means, to be read after the node's key. */
  readonly means: string;
}

/** The event of a node that has another id in its network than before. */
export const identityChanged = "network-node-changed";

const eventsWatched: Readonly<Record<string, WatchedEvent>> = {
  "host-key-changed": { rule: "security", means: "its host key changed" },
  "file-changed": { rule: "security", means: "a policy or unit file was changed" },
  "listening-port-new": { rule: "security", means: "something new listens on a port" },
  "verb-refused": { rule: "security", means: "a command that is no verb was refused" },
  "forwards-refused": { rule: "security", means: "port forwards were refused" },
  "logins-failed": { rule: "security-notice", means: "log-ins failed" },
  "security-update-pending": { rule: "security-notice", means: "a security update has waited for more than a week" },
  "profile-replaced": { rule: "identity-changed", means: "its browser's profile was replaced" },
  [identityChanged]: { rule: "identity-changed", means: "it has another id in its network" },
  "journal replaced": { rule: "identity-changed", means: "its journal was replaced" },
};

const eventFixes: Readonly<Record<WatchedEvent["rule"], string>> = {
  security: "Read the event in the node's journal; if it was not you, rebuild the node and change its keys.",
  "security-notice": "Read the event in the node's journal; keep access.sshFrom narrow, and the machine up to date.",
  "identity-changed":
    "What the network counts for the earlier identity stays there; look why the profile or the disk was lost.",
};

/** The names of the events that rules look at. */
export const watchedEvents: readonly string[] = Object.keys(eventsWatched);

function conditionsOfEvent({ node, name, count, first, last }: EventPicture): Condition[] {
  const watched = eventsWatched[name];
  if (watched === undefined) return [];
  const times = count === 1 ? `at ${minute(last)}` : `${count} times from ${minute(first)} to ${minute(last)}`;
  return [
    {
      rule: watched.rule,
      subject: `${node} ${name}`,
      summary: `${node}: ${watched.means}, ${times}.`,
      fix: eventFixes[watched.rule],
      since: first,
    },
  ];
}

function conditionsOfRun({ job, at, outcome, reason }: Picture["runs"][number]): Condition[] {
  if (!["shape", "blocked", "auth", "unknown"].includes(outcome)) return [];
  const fixes: Readonly<Record<string, string>> = {
    shape: "The network's page has changed: the answer is kept, and a newer release reads it with npm run reparse.",
    auth: "Sign in by hand and correct the account's file.",
    blocked: "Nothing more is asked for a while; look at the account in a browser of your own.",
    unknown: "Read the stored answer.",
  };
  return [
    {
      rule: "answer-not-understood",
      subject: job,
      summary: `${job} ended with ${outcome} at ${minute(at)}: ${reason}.`,
      fix: fixes[outcome] ?? "Read the stored answer.",
      since: at,
    },
  ];
}

function conditionsOfFleet(fleet: FleetPicture, now: Date): Condition[] {
  const { phase, freeUntil, stack, microUsdPerMonth, writtenAt } = fleet;
  const soon = (end: Date): boolean => now.getTime() >= end.getTime() - aheadMs;
  const found: Condition[] = [];
  if (phase !== null && phase.end !== null && soon(phase.end)) {
    found.push({
      rule: "phase-ends",
      subject: `${stack} ${phase.name}`,
      summary: `The phase ${phase.name} of ${stack} ${now < phase.end ? "ends" : "ended"} at ${minute(phase.end)}.`,
      fix: "Run npm run plan: it names the counts that fit the next phase.",
      since: new Date(phase.end.getTime() - aheadMs),
    });
  }
  for (const { account, at } of freeUntil) {
    if (!soon(at)) continue;
    found.push({
      rule: "phase-ends",
      subject: `${stack} ${account}`,
      summary: `What is free at ${account} ${now < at ? "ends" : "ended"} at ${minute(at)}.`,
      fix: "Run npm run plan: it shows what the machines there cost afterwards.",
      since: new Date(at.getTime() - aheadMs),
    });
  }
  if (phase !== null && microUsdPerMonth > phase.budgetMicroUsdPerMonth) {
    found.push({
      rule: "over-budget",
      subject: `${stack} ${phase.name}`,
      summary: `${stack} costs ${dollars(microUsdPerMonth)} a month by its list prices, and the phase ${phase.name} allows ${dollars(phase.budgetMicroUsdPerMonth)}.`,
      fix: "Lower a count, stop slots or change the phase: npm run plan shows what each costs.",
      since: writtenAt,
    });
  }
  return found;
}

const minute = (instant: Date): string => `${instant.toISOString().slice(0, 16).replace("T", " ")} UTC`;
const dollars = (microUsd: number): string => `$${(Math.ceil(microUsd / 10_000) / 100).toFixed(2)}`;
