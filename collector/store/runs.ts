import { sql } from "kysely";
import type { Database } from "./database.ts";

/**
 * The schedule's ledger. Every decision is one statement that any number of collectors may run at once: rows that another
 * one is at are skipped and looked at again in the next turn. Locks are taken in the order job, run. Due times are judged
 * by the collector's clock (`now`); leases by the database's, so that collectors whose clocks differ agree on them.
 */

/** Up to where a job's due times are in the ledger. */
export interface PlannedJob {
  readonly name: string;
  readonly plannedUntil: Date;
}

/** Due times of a job in `(after, until]`, all of them. */
export interface Plan {
  readonly name: string;
  readonly after: Date;
  readonly until: Date;
  readonly dues: readonly PlannedDue[];
}

/** One due time; with `missed`, why it will not be run. */
export interface PlannedDue {
  readonly due: Date;
  readonly missed: string | null;
  /** Whether a later run can still answer for it. */
  readonly answerable: boolean;
}

/** A due time that this collector has claimed; `attempt` 1 is the first. */
export interface ClaimedRun {
  readonly id: string;
  readonly job: string;
  readonly due: Date;
  readonly attempt: number;
}

/** Returns the job's row as it stands before it is put on the schedule, or undefined where there never was one. */
export async function scheduledJob(
  database: Database,
  name: string,
): Promise<{ readonly cron: string | null; readonly plannedUntil: Date; readonly ended: boolean } | undefined> {
  const row = await database
    .selectFrom("job")
    .select(["cron", "planned_until", "ended_at"])
    .where("name", "=", name)
    .executeTakeFirst();
  return row === undefined
    ? undefined
    : { cron: row.cron, plannedUntil: row.planned_until, ended: row.ended_at !== null };
}

/** Puts a job on the schedule. One that is new, or was off the schedule, has its first due time after `now`. */
export async function putJob(database: Database, name: string, cron: string, now: Date): Promise<Date> {
  const row = await database
    .insertInto("job")
    .values({ name, cron, planned_until: now })
    .onConflict((conflict) =>
      conflict.column("name").doUpdateSet({
        cron,
        ended_at: null,
        planned_until: sql`case when job.ended_at is null then job.planned_until else greatest(job.planned_until, excluded.planned_until) end`,
      }),
    )
    .returning("planned_until")
    .executeTakeFirstOrThrow();
  return row.planned_until;
}

/** Takes a job off the schedule: what is due and not begun is missed, and no due time follows. */
export async function endJob(database: Database, name: string, now: Date): Promise<void> {
  await sql`
    with ended as (update job set ended_at = ${now} where name = ${name} returning name)
    update run set finished_at = ${now}, outcome = 'missed', reason = 'the job was taken off the schedule'
    from ended where run.job = ended.name and run.finished_at is null and run.attempts = 0`.execute(database);
}

/**
 * Writes due times into the ledger and moves each job's mark behind them. A job whose mark lies before `after`, or that
 * another collector is at, is left alone. Returns where the marks are now, of the jobs that were not left alone.
 */
export async function planRuns(database: Database, plans: readonly Plan[], now: Date): Promise<readonly PlannedJob[]> {
  if (plans.length === 0) return [];
  const dues = plans.flatMap(({ name, dues }) => dues.map((due) => ({ name, ...due })));
  const { rows } = await sql<{ name: string; planned_until: Date }>`
    with plan as (
      select * from unnest(${plans.map(({ name }) => name)}::text[], ${plans.map(({ after }) => after)}::timestamptz[],
        ${plans.map(({ until }) => until)}::timestamptz[]) as plan (name, after, until)
    ),
    due as (
      select * from unnest(${dues.map(({ name }) => name)}::text[], ${dues.map(({ due }) => due)}::timestamptz[],
        ${dues.map(({ missed }) => missed)}::text[], ${dues.map(({ answerable }) => answerable)}::boolean[])
        as due (job, due, missed, answerable)
    ),
    mark as (
      select job.name, job.planned_until from job join plan on plan.name = job.name
      where job.planned_until >= plan.after order by job.name for update of job skip locked
    ),
    written as (
      insert into run (job, due, outcome, reason, finished_at, answerable)
      select due.job, due.due, case when due.missed is not null then 'missed' end, due.missed,
        case when due.missed is not null then ${now}::timestamptz end, due.answerable
      from due join mark on mark.name = due.job and due.due > mark.planned_until
      order by due.due
      on conflict (job, due) do nothing
    )
    update job set planned_until = greatest(job.planned_until, plan.until)
    from plan join mark using (name) where job.name = plan.name
    returning job.name, job.planned_until`.execute(database);
  return rows.map((row) => ({ name: row.name, plannedUntil: row.planned_until }));
}

/**
 * Ends what nobody will run any more: a due time that the next one has overtaken, or that was tried `mostAttempts` times,
 * and is not under way.
 */
export async function giveUpRuns(
  database: Database,
  jobs: readonly string[],
  mostAttempts: number,
  now: Date,
): Promise<void> {
  await sql`
    with given_up as (
      select run.id from run
      where run.finished_at is null and run.job = any(${jobs}::text[]) and run.due <= ${now}
        and (run.lease_until is null or run.lease_until < clock_timestamp())
        and (run.attempts >= ${mostAttempts} or exists (
          select from run next where next.job = run.job and next.due > run.due and next.due <= ${now}))
      for update skip locked
    )
    update run set finished_at = ${now},
      outcome = case when run.attempts = 0 then 'missed' else 'failed' end,
      reason = case when run.attempts = 0 then 'the next due time came before this one could be begun'
        else coalesce(run.reason, 'the collector that had claimed it ended before it was done') end
    from given_up where run.id = given_up.id and run.finished_at is null`.execute(database);
}

/**
 * Claims, for `leaseMs`, the newest due time of each of `jobs` that is open and of which no run is under way; at most
 * `most`, the longest due first.
 */
export async function claimRuns(
  database: Database,
  jobs: readonly string[],
  claim: { readonly by: string; readonly leaseMs: number; readonly most: number; readonly now: Date },
): Promise<readonly ClaimedRun[]> {
  if (jobs.length === 0 || claim.most <= 0) return [];
  const { rows } = await sql<{ id: string; job: string; due: Date; attempts: number }>`
    with newest as (
      select distinct on (job) id, job, due from run
      where finished_at is null and job = any(${jobs}::text[]) and due <= ${claim.now}
      order by job, due desc
    ),
    free as (
      select job.name, newest.id, newest.due from job join newest on newest.job = job.name
      where job.busy_until is null or job.busy_until < clock_timestamp()
      order by newest.due limit ${claim.most} for update of job skip locked
    ),
    open as (
      select run.id from run join free using (id)
      where run.finished_at is null and (run.lease_until is null or run.lease_until < clock_timestamp())
      for update of run skip locked
    ),
    claimed as (
      update run set attempts = run.attempts + 1, claimed_at = ${claim.now}, claimed_by = ${claim.by},
        lease_until = clock_timestamp() + ${claim.leaseMs} * interval '1 millisecond'
      from open where run.id = open.id
      returning run.id, run.job, run.due, run.attempts, run.lease_until
    ),
    busy as (update job set busy_until = claimed.lease_until from claimed where job.name = claimed.job)
    select id, job, due, attempts from claimed order by due, id`.execute(database);
  return rows.map(({ id, job, due, attempts }) => ({ id, job, due, attempt: attempts }));
}

/** Makes the leases of `runs` last `leaseMs` from now. Returns the ids of those that are still this collector's. */
export async function renewLeases(
  database: Database,
  runs: readonly ClaimedRun[],
  leaseMs: number,
): Promise<ReadonlySet<string>> {
  if (runs.length === 0) return new Set();
  const { rows } = await sql<{ id: string }>`
    with held as (
      select * from unnest(${runs.map(({ id }) => id)}::bigint[], ${runs.map(({ attempt }) => attempt)}::integer[])
        as held (id, attempt)
    ),
    mine as (
      select run.id, run.job from held join run on run.id = held.id and run.attempts = held.attempt
      join job on job.name = run.job where run.finished_at is null order by job.name for update of job
    ),
    busy as (
      update job set busy_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
      from mine where job.name = mine.job
    )
    update run set lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
    from mine where run.id = mine.id and run.finished_at is null returning run.id`.execute(database);
  return new Set(rows.map(({ id }) => id));
}

/**
 * Ends a claimed run with its outcome: `ok`, or the worst thing that happened in it. Returns false where the lease had
 * run out and the due time is another's by now: then nothing is noted.
 */
export async function finishRun(
  database: Database,
  run: ClaimedRun,
  end: { readonly outcome: string; readonly reason: string | null; readonly answersFrom: Date | null },
  now: Date,
): Promise<boolean> {
  const { rows } = await sql<{ id: string }>`
    with held as (select name from job where name = ${run.job} for update),
    done as (
      update run set finished_at = ${now}, outcome = ${end.outcome}, reason = ${end.reason}
      from held where run.id = ${run.id} and run.attempts = ${run.attempt} and run.finished_at is null
      returning run.id, run.job, run.due
    ),
    answered as (
      update run set answered_by = done.id from done
      where run.job = done.job and run.answerable and run.answered_by is null and run.outcome = 'missed'
        and run.due >= ${end.answersFrom}::timestamptz and run.due < done.due
    ),
    free as (update job set busy_until = null from done where job.name = done.job)
    select id from done`.execute(database);
  return rows.length > 0;
}

/** Gives a claimed run back, with why: it may be claimed again after `againMs`, unless the next due time comes first. */
export async function releaseRun(
  database: Database,
  run: ClaimedRun,
  reason: string,
  againMs: number,
): Promise<boolean> {
  const { rows } = await sql<{ id: string }>`
    with held as (select name from job where name = ${run.job} for update),
    released as (
      update run set reason = ${reason}, lease_until = clock_timestamp() + ${againMs} * interval '1 millisecond'
      from held where run.id = ${run.id} and run.attempts = ${run.attempt} and run.finished_at is null
      returning run.id, run.job
    ),
    free as (update job set busy_until = null from released where job.name = released.job)
    select id from released`.execute(database);
  return rows.length > 0;
}

/** Returns the oldest missed due time since `from` that nothing has answered for yet, or null where there is none. */
export async function oldestUnanswered(database: Database, job: string, from: Date): Promise<Date | null> {
  const row = await database
    .selectFrom("run")
    .select("due")
    .where("job", "=", job)
    .where("answerable", "=", true)
    .where("answered_by", "is", null)
    .where("outcome", "=", "missed")
    .where("due", ">=", from)
    .orderBy("due")
    .limit(1)
    .executeTakeFirst();
  return row?.due ?? null;
}

/** Opens due times after `now` that were called missed: the clock had gone ahead and was set back. */
export async function reopenRuns(database: Database, jobs: readonly string[], now: Date): Promise<number> {
  const result = await database
    .updateTable("run")
    .set({ finished_at: null, outcome: null, reason: null })
    .where("job", "=", sql<string>`any(${jobs}::text[])`)
    .where("due", ">", now)
    .where("outcome", "=", "missed")
    .where("attempts", "=", 0)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}
