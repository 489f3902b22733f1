import { join } from "node:path";
import type { Log } from "../log.ts";
import { runningServer, startEmbedded } from "./embedded.ts";

/**
 * Gives `work` the URL of the database that a collector of this data folder has: `databaseUrl`, the embedded server that
 * runs, or that server started for as long as the work takes. @throws ExplainedError as `startEmbedded`.
 */
export async function visitDatabase<Result>(
  place: { readonly databaseUrl: string | undefined; readonly dataDirectory: string },
  log: Log,
  work: (url: string) => Promise<Result>,
): Promise<Result> {
  if (place.databaseUrl !== undefined && place.databaseUrl !== "") return work(place.databaseUrl);
  const directory = join(place.dataDirectory, "postgres");
  const running = await runningServer(directory, "postgres");
  if (running !== null) return work(running);
  const server = await startEmbedded(directory, log);
  try {
    return await work(server.url("postgres"));
  } finally {
    await server.stop();
  }
}
