import type { Database } from "./database.ts";

/** One claimed due time of a job. */
export interface ClaimedRun {
  readonly id: string;
  readonly job: string;
  readonly due: Date;
}

/**
 * Claims the due time for this collector, or returns undefined where another one, or an earlier life of this one, has
 * it: each due time of each job is one row, and one insert wins.
 */
export async function claimRun(
  database: Database,
  job: string,
  due: Date,
  now: Date,
  leaseMs: number,
): Promise<ClaimedRun | undefined> {
  const row = await database
    .insertInto("run")
    .values({ job, due, claimed_at: now, lease_until: new Date(now.getTime() + leaseMs) })
    .onConflict((conflict) => conflict.columns(["job", "due"]).doNothing())
    .returning("id")
    .executeTakeFirst();
  return row === undefined ? undefined : { id: row.id, job, due };
}

/** Notes how a claimed run ended: `ok`, or the outcome of the worst thing that happened in it. */
export async function finishRun(database: Database, run: ClaimedRun, outcome: string, now: Date): Promise<void> {
  await database.updateTable("run").set({ finished_at: now, outcome }).where("id", "=", run.id).execute();
}
