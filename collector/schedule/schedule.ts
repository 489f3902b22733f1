import { randomUUID } from "node:crypto";
import { type Log, sentenceOf } from "../log.ts";
import type { Database } from "../store/database.ts";
import {
  type ClaimedRun,
  claimRuns,
  endJob,
  finishRun,
  giveUpRuns,
  oldestUnanswered,
  type Plan,
  planRuns,
  putJob,
  releaseRun,
  renewLeases,
  reopenRuns,
  scheduledJob,
} from "../store/runs.ts";
import { type Cron, cronOf } from "./cron.ts";
import type { Job, RunEnd } from "./jobs.ts";
import { type MissedWhy, planOf } from "./plan.ts";

/** The jobs of this collector, run at their due times; any number of collectors may share them. */
export interface Schedule {
  /** Puts a job on the schedule until `leave` or `stop`. @throws ExplainedError for a cron expression that is none. */
  add(job: Job): Promise<void>;
  /** Ends this collector's part in a job and waits for its run; with `ended`, the job has no due times from now on. */
  leave(name: string, ended: boolean): Promise<void>;
  /**
   * Plans what became due, gives up what was overtaken, and begins what can be claimed. Returns when all of that is in
   * the database; the runs go on. @throws what the database says.
   */
  turn(): Promise<void>;
  /** Resolves when no run of this collector is under way. */
  idle(): Promise<void>;
  /** Ends all runs and gives their due times back. */
  stop(): Promise<void>;
}

/** What a schedule needs of the world. */
export interface ScheduleDependencies {
  readonly database: Database;
  readonly log: Log;
  /** The clock that due times are judged by. */
  readonly now: () => Date;
  /** Milliseconds of a clock that nobody sets. */
  readonly monotonicMs: () => number;
  readonly leaseMs?: number;
  /** How long after an error a run is tried again, times the attempts so far. */
  readonly againMs?: number;
}

const usualLeaseMs = 30_000;
const usualAgainMs = 10_000;
const mostAttempts = 3;
const mostRuns = 100;
const mostDuesPerPlan = 5_000;
// How often what others planned or left behind is looked for.
const lookAroundMs = 2_000;
// A clock that is this much further than the time that passed was set, or the machine slept.
const jumpMs = 5_000;

interface Scheduled {
  readonly job: Job;
  readonly cron: Cron;
  planned: Date;
  next: Date;
  run: Promise<void> | null;
}

/** Returns a schedule without jobs. It does nothing by itself: `keepSchedule` takes its turns. */
export function openSchedule(dependencies: ScheduleDependencies): Schedule & { nextAt(): Date | null } {
  const { database, log, now, monotonicMs, leaseMs = usualLeaseMs, againMs = usualAgainMs } = dependencies;
  const by = randomUUID();
  const jobs = new Map<string, Scheduled>();
  const running = new Map<string, { readonly run: ClaimedRun; readonly stop: AbortController }>();
  let last: { readonly at: number; readonly monotonic: number } | null = null;
  let lookedAround = Number.NEGATIVE_INFINITY;
  let renewed = monotonicMs();
  let stopped = false;

  const run = async (scheduled: Scheduled, claimed: ClaimedRun): Promise<void> => {
    const { job } = scheduled;
    const stop = new AbortController();
    running.set(claimed.id, { run: claimed, stop });
    try {
      const since =
        job.reachMs === 0
          ? null
          : await oldestUnanswered(database, job.name, new Date(claimed.due.getTime() - job.reachMs));
      let end: RunEnd;
      try {
        end = await job.run({ due: claimed.due, since, signal: stop.signal });
      } catch (error) {
        const why = stop.signal.aborted ? "the collector was stopped" : sentenceOf(error);
        if (!stop.signal.aborted) log("error", `The job ${job.name} failed: ${why}`, { job: job.name });
        await releaseRun(database, claimed, why.slice(0, 500), stop.signal.aborted ? 0 : againMs * claimed.attempt);
        return;
      }
      const answersFrom = end.outcome === "ok" ? since : null;
      const mine = await database.transaction().execute(async (transaction) => {
        const done = await finishRun(
          transaction,
          claimed,
          { outcome: end.outcome, reason: end.reason ?? null, answersFrom },
          now(),
        );
        // What was read was read, even when the due time is another collector's by now.
        await end.record?.(transaction);
        return done;
      });
      if (!mine) log("warn", `The run of ${job.name} took longer than its lease.`, { job: job.name });
    } catch (error) {
      // The lease runs out, and the due time is tried again.
      log("error", `A run of the job ${job.name} was not noted: ${sentenceOf(error)}`, { job: job.name });
    } finally {
      running.delete(claimed.id);
    }
  };

  const plan = async (at: Date, why: MissedWhy): Promise<void> => {
    for (;;) {
      const plans: Plan[] = [];
      let room = mostDuesPerPlan;
      for (const { job, cron, planned, next } of jobs.values()) {
        if (next > at || room <= 0) continue;
        const made = planOf({ name: job.name, cron, after: planned, reachMs: job.reachMs }, at, room, why);
        room -= made.dues.length;
        plans.push(made);
      }
      const marks = await planRuns(database, plans, at);
      for (const { name, plannedUntil } of marks) {
        const scheduled = jobs.get(name);
        if (scheduled === undefined) continue;
        scheduled.planned = plannedUntil;
        scheduled.next = scheduled.cron.next(plannedUntil);
      }
      // Rows that another collector is at are left for the next turn.
      if (room > 0 || marks.length === 0) return;
    }
  };

  const claim = async (at: Date): Promise<void> => {
    const free = [...jobs.values()].filter(({ run }) => run === null).map(({ job }) => job.name);
    const most = mostRuns - running.size;
    const claimed = await claimRuns(database, free, { by, leaseMs, most, now: at });
    for (const one of claimed) {
      const scheduled = jobs.get(one.job);
      if (scheduled === undefined || stopped) {
        await releaseRun(database, one, "the collector was stopped", 0);
        continue;
      }
      scheduled.run = run(scheduled, one).finally(() => {
        scheduled.run = null;
      });
    }
    // More may be waiting than there was room for.
    if (claimed.length === most) lookedAround = Number.NEGATIVE_INFINITY;
  };

  const renew = async (): Promise<void> => {
    renewed = monotonicMs();
    const held = [...running.values()];
    const mine = await renewLeases(
      database,
      held.map(({ run }) => run),
      leaseMs,
    );
    for (const { run, stop } of held) {
      if (!mine.has(run.id) && running.has(run.id)) stop.abort();
    }
  };

  const turn = async (): Promise<void> => {
    if (stopped) return;
    const at = now();
    const monotonic = monotonicMs();
    const why = missedWhy(last, at.getTime(), monotonic);
    const setBack = last !== null && at.getTime() < last.at;
    last = { at: at.getTime(), monotonic };
    if (running.size > 0 && monotonic - renewed > leaseMs / 3) await renew();
    if (setBack) await reopenRuns(database, [...jobs.keys()], at);
    const planning = [...jobs.values()].some(({ next }) => next <= at);
    if (planning) await plan(at, why);
    if (!planning && monotonic - lookedAround < lookAroundMs) return;
    lookedAround = monotonic;
    await giveUpRuns(database, [...jobs.keys()], mostAttempts, at);
    await claim(at);
  };

  const catchUp = async (job: Job, cron: Cron, from: Date, at: Date): Promise<void> => {
    for (let after = from; ; ) {
      const made = planOf({ name: job.name, cron, after, reachMs: job.reachMs }, at, mostDuesPerPlan, "away", true);
      const [mark] = await planRuns(database, [made], at);
      if (mark === undefined || mark.plannedUntil >= at) return;
      after = mark.plannedUntil;
    }
  };

  return {
    async add(job) {
      const cron = cronOf(job.cron);
      const at = now();
      const before = await scheduledJob(database, job.name);
      if (before !== undefined && !before.ended && before.cron !== null && before.cron !== job.cron) {
        // What was due by the expression of before is of before.
        await catchUp(job, cronOf(before.cron), before.plannedUntil, at);
      }
      const planned = await putJob(database, job.name, job.cron, at);
      if (planned > at) await reopenRuns(database, [job.name], at);
      jobs.set(job.name, { job, cron, planned, next: cron.next(planned), run: null });
      lookedAround = Number.NEGATIVE_INFINITY;
    },
    async leave(name, ended) {
      const scheduled = jobs.get(name);
      jobs.delete(name);
      for (const { run, stop } of running.values()) if (run.job === name) stop.abort();
      await scheduled?.run;
      if (ended) await endJob(database, name, now());
    },
    turn,
    async idle() {
      await Promise.all([...jobs.values()].map(({ run }) => run));
    },
    nextAt() {
      let first: Date | null = null;
      for (const { next } of jobs.values()) if (first === null || next < first) first = next;
      return first;
    },
    async stop() {
      stopped = true;
      for (const { stop } of running.values()) stop.abort();
      await Promise.all([...jobs.values()].map(({ run }) => run));
    },
  };
}

/** Says why due times before the newest were not run: nobody was there, or the clock leapt over them. */
function missedWhy(
  last: { readonly at: number; readonly monotonic: number } | null,
  at: number,
  monotonic: number,
): MissedWhy {
  if (last === null) return "away";
  return at - last.at - (monotonic - last.monotonic) > jumpMs ? "jumped" : "busy";
}

const longestWaitMs = 1_000;
const troubleWaitMs = 1_000;

/** Takes the turns of `schedule`: at every due time, and at least every second. Returns what ends that and the schedule. */
export function keepSchedule(
  schedule: Schedule & { nextAt(): Date | null },
  log: Log,
  now: () => Date,
): () => Promise<void> {
  const stopping = new AbortController();
  let trouble = "";
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      function done(): void {
        clearTimeout(timer);
        stopping.signal.removeEventListener("abort", done);
        resolve();
      }
      stopping.signal.addEventListener("abort", done);
    });
  const keep = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await schedule.turn();
        trouble = "";
        const next = schedule.nextAt()?.getTime() ?? Number.POSITIVE_INFINITY;
        // A turn that could not plan what is due leaves it to the next: another collector is at it.
        await wait(Math.min(Math.max(next - now().getTime(), 10), longestWaitMs));
      } catch (error) {
        const sentence = sentenceOf(error);
        if (sentence !== trouble) log("error", `The schedule had trouble: ${sentence}`);
        trouble = sentence;
        await wait(troubleWaitMs);
      }
    }
  };
  const kept = keep();
  return async () => {
    stopping.abort();
    await kept;
    await schedule.stop();
  };
}
