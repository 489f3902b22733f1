import type { InTransaction } from "../store/database.ts";

/** A job that is run at the due times of a node-cron expression, in UTC. */
export interface Job {
  /** The name under which its due times are claimed: the same in every collector on one database. */
  readonly name: string;
  readonly cron: string;
  /** How far back, in milliseconds, a run can answer for due times that were missed; 0: it tells of the present only. */
  readonly reachMs: number;
  /** Does one run. An error is logged, and the due time is tried again or ends as `failed`. */
  run(due: DueRun): Promise<RunEnd>;
}

/** What a run is for. */
export interface DueRun {
  readonly due: Date;
  /** The oldest missed due time that this run should answer for too; null where there is none. */
  readonly since: Date | null;
  readonly signal: AbortSignal;
}

/** How a run ended. */
export interface RunEnd {
  /** `ok`, or the worst thing that happened. */
  readonly outcome: string;
  readonly reason?: string | null;
  /** Writes what the run brought, in the very transaction that ends it: there is never one without the other. */
  readonly record?: (transaction: InTransaction) => Promise<void>;
}
