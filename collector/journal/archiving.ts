import type { Log } from "../log.ts";
import type { Job } from "../schedule/jobs.ts";
import type { Archives } from "../store/archive/archives.ts";
import { archiveOldMonths } from "../store/archive/archiving.ts";
import type { Database } from "../store/database.ts";

/**
 * Returns the job that moves lines and answers older than `months` whole months from the database into archives, once a
 * day: usually a month at the beginning of the next.
 */
export function archivingJob(database: Database, archives: Archives, months: number, log: Log, now: () => Date): Job {
  return {
    name: "archive-months",
    cron: "41 3 * * *",
    reachMs: 0,
    async run({ signal }) {
      const archived = await archiveOldMonths(database, archives, archivedBefore(now(), months), signal);
      if (archived === null) return { outcome: "ok", reason: "another collector is at it" };
      if (archived.files > 0) log("info", "months-archived", { ...archived });
      // What is archived is archived; the rest is for whoever runs this due time again.
      signal.throwIfAborted();
      return { outcome: "ok" };
    },
  };
}

/** Returns the beginning of the UTC month that `months` whole months lie behind, up to `now`: what is older is archived. */
export function archivedBefore(now: Date, months: number): Date {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - months, 1));
}
