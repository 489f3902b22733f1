import type { Log } from "../log.ts";
import type { Job } from "../schedule/jobs.ts";
import type { Database } from "../store/database.ts";
import { dropEmptyPartitions, packClosedDays } from "../store/packing.ts";

/** Returns the job that packs the lines of closed days and drops the months that this leaves empty, hour by hour. */
export function packingJob(database: Database, log: Log, now: () => Date): Job {
  return {
    name: "pack-lines",
    cron: "23 * * * *",
    reachMs: 0,
    async run({ signal }) {
      const packed = await packClosedDays(database, now(), signal);
      if (packed.packs > 0) log("info", "lines-packed", { ...packed });
      // What is packed is packed; the rest is for whoever runs this due time again.
      signal.throwIfAborted();
      const dropped = await dropEmptyPartitions(database, now());
      if (dropped > 0) log("info", "partitions-dropped", { partitions: dropped });
      return { outcome: "ok" };
    },
  };
}
