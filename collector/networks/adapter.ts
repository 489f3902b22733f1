import { z } from "zod";
import type { CounterKind, ReadingOutcome, VerdictClass } from "../api/types.ts";
import type { Opener } from "../credentials.ts";
import { NetworkError } from "./outcome.ts";

/**
 * The seam between the collector and a network: how it is asked (with effects) and what an answer says (pure, versioned)
 * are apart, so that a stored answer can be parsed again by a newer parser.
 */

/**
 * What every account file holds: one file for each account that is read, for its owner only. Each adapter adds what it
 * signs in with and where it asks.
 */
export const AccountFile = z.strictObject({
  schema: z.literal(1, "write 1"),
  network: z.string().min(1, "name the network"),
  /** Names the account among those of its network; part of every reading, so it is for ever. */
  account: z.string().min(1, "give the account a name"),
  /** What screens call it. */
  label: z.string("say what screens should call it"),
});
export type AccountFile = z.infer<typeof AccountFile>;

/** How a metric behaves and is counted: `value / 10^scale` of `unit`. */
export interface Metric {
  readonly kind: CounterKind;
  readonly unit: string | null;
  readonly scale: number;
}

/** What can be asked of a network in one go, and when: a node-cron expression in UTC. */
interface Source {
  readonly name: string;
  readonly cron: string;
  /** The call of this source whose answers tell the nodes' verdicts and points; null where none does. */
  readonly nodesCall: string | null;
  /** How many days back it can be asked, where it tells of past days: then it can answer for missed due times. */
  readonly reachDays?: number;
}

/** One answer as it came. An answer that never came has no status, an empty body and the error. */
export interface Answer {
  /** Names the call, so that the parser knows what shape is due; part of the reading. */
  readonly call: string;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly httpStatus: number | null;
  readonly body: string;
  readonly failure: NetworkError | null;
}

/** A value that an answer holds. Exactly one of `value` and `text` is there. */
export interface ParsedFact {
  readonly metric: string;
  /** The network's own id of the node it is about; null: about the account. */
  readonly networkNodeId: string | null;
  readonly value: bigint | null;
  readonly text: string | null;
  /** The UTC day it belongs to, `YYYY-MM-DD`; null where it belongs to none. */
  readonly day: string | null;
  /** True where it was computed from several values of the same answer. */
  readonly derived: boolean;
}

/** An open session of an account. Asking never throws for what the network did: that stands in the answers. */
export interface Session {
  /**
   * Asks one source; `networkNodeIds` are the nodes of the fleet that the network should know. Returns no answer at all
   * while the network asked to be left alone. With `since`, due times from that instant on were missed, and days are asked
   * for from there.
   */
  read(
    source: string,
    networkNodeIds: readonly string[],
    signal: AbortSignal,
    since?: Date | null,
  ): Promise<readonly Answer[]>;
  /** Words that must never be stored: the password and every token in use. */
  secrets(): readonly string[];
}

/** What a session needs of the world. */
export interface SessionDependencies {
  readonly fetch: typeof globalThis.fetch;
  readonly now: () => Date;
  /** A number from 0 to 1, another each time. */
  readonly random: () => number;
  /** A folder for what a session has to remember over restarts; may not be there yet. For its owner only. */
  readonly stateDirectory: string;
  /** How what lies in that folder is opened and written. */
  readonly opener: Opener;
}

/** How a browser is signed in to an account on the network's own dashboard. */
export interface DashboardAccess {
  /** The dashboard's address; credentials are typed there and nowhere else. */
  readonly origin: string;
  readonly email: string;
  readonly password: string;
}

export interface Adapter<File extends AccountFile = AccountFile> {
  readonly network: string;
  /** The form of this network's account files. A mistake's message says what to write instead. */
  readonly accountFile: z.ZodType<File>;
  /** A practice network's rewards are worth nothing, and every screen says so. */
  readonly practice: boolean;
  readonly sources: readonly Source[];
  /** Returns how a metric that this adapter's facts name is counted; undefined for any other name. */
  metricOf(name: string): Metric | undefined;
  /** Name and version of the parser; a change of what it makes of an answer is a new version. */
  readonly parser: string;
  /** How long a node's points may stay the same before its reward is `stalled`, in milliseconds. */
  stallMs(account: File): number;
  open(account: File, dependencies: SessionDependencies): Session;
  /**
   * What a node's browser is signed in with, where the network has a dashboard with the form that this release knows.
   */
  dashboardOf?(account: File): DashboardAccess;
  /** Returns our class of the network's own word for a node; words never seen before are `unknown`, never guessed. */
  classOf(verdict: string): VerdictClass;
  /**
   * Returns what the answer to `call` says. Pure. A shape it does not know yields no fact at all.
   * @throws NetworkError with what was wrong.
   */
  parse(call: string, body: string): readonly ParsedFact[];
}

/** The metrics that layers are made from; an adapter that knows them uses these names. */
export const nodeMetrics = {
  /** The network's own word for the node. */
  verdict: "verdict",
  verdictReason: "verdict-reason",
  /** All points of the node, in the smallest unit. */
  points: "points",
  /** The text `absent` where the network answers that it does not know the node. */
  presence: "presence",
} as const;

/** The metrics of an account's referrals. */
export const referralMetrics = { invitee: "referral-invitee", pending: "referral-pending" } as const;

/** Returns how the answer ended and what it says: facts only where the whole answer was understood. */
export function understand(
  adapter: Adapter,
  answer: Answer,
): { readonly outcome: ReadingOutcome; readonly reason: string | null; readonly facts: readonly ParsedFact[] } {
  try {
    if (answer.failure !== null) throw answer.failure;
    return { outcome: "ok", reason: null, facts: adapter.parse(answer.call, answer.body) };
  } catch (error) {
    if (error instanceof NetworkError) return { outcome: error.outcome, reason: error.message, facts: [] };
    throw error;
  }
}
