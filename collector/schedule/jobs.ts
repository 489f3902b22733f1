import cron from "node-cron";
import { type Log, sentenceOf } from "../log.ts";
import type { Database } from "../store/database.ts";
import { claimRun, finishRun } from "../store/runs.ts";

/** A job that is run at the due times of a node-cron expression, in UTC. */
export interface Job {
  /** The name under which its due times are claimed: the same in every collector on one database. */
  readonly name: string;
  readonly cron: string;
  /** Does one run and returns how it ended. An error is logged and ends the run as `failed`. */
  run(signal: AbortSignal): Promise<string>;
}

/** A job that is being scheduled, until `stop`. */
export interface ScheduledJob {
  /** The distance of the next two due times in milliseconds. */
  readonly periodMs: number;
  /** Ends the schedule and a run that is under way. */
  stop(): Promise<void>;
}

// How long a run may take before its claim counts as abandoned.
const leaseMs = 120_000;

/** Schedules a job. Each due time is claimed in the database first: whoever loses the claim does nothing. */
export function scheduleJob(job: Job, database: Database, log: Log, now: () => Date): ScheduledJob {
  const stopping = new AbortController();
  let busy: Promise<void> | undefined;

  const runOnce = async (due: Date): Promise<void> => {
    try {
      const run = await claimRun(database, job.name, due, now(), leaseMs);
      if (run === undefined) return;
      let outcome = "failed";
      try {
        outcome = await job.run(stopping.signal);
      } catch (error) {
        if (stopping.signal.aborted) outcome = "stopped";
        else log("error", `The job ${job.name} failed: ${sentenceOf(error)}`, { job: job.name });
      }
      await finishRun(database, run, outcome, now());
    } catch (error) {
      log("error", `The job ${job.name} could not be claimed or noted: ${sentenceOf(error)}`, { job: job.name });
    }
  };

  const task = cron.createTask(
    job.cron,
    async ({ date }) => {
      if (stopping.signal.aborted) return;
      busy = runOnce(wholeSecond(date));
      await busy;
    },
    {
      name: job.name,
      timezone: "UTC",
      noOverlap: true,
      suppressMissedWarning: true,
      logger: {
        info: (message) => log("info", message, { job: job.name }),
        warn: (message) => log("warn", message, { job: job.name }),
        error: (message) => log("error", sentenceOf(message), { job: job.name }),
        debug: () => undefined,
      },
    },
  );
  const [first, second] = task.getNextRuns(2);
  void task.start();
  return {
    periodMs: first === undefined || second === undefined ? 86_400_000 : second.getTime() - first.getTime(),
    async stop() {
      stopping.abort();
      await task.destroy();
      await busy;
    },
  };
}

/** Due times are whole seconds: two collectors have to name the same instant. */
function wholeSecond(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}
