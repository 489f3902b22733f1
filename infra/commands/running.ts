import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { BadInput, ExplainedError } from "../problem.ts";
import { identityOf, type ProcessIdentity, stillRuns } from "../process-identity.ts";

/** What a running `npm start` leaves for the other commands: who it is and its page's port, 0 while it is not known. */
const Running = z.object({ pid: z.int(), startTicks: z.string(), bootId: z.string(), port: z.int() });
export type Running = z.infer<typeof Running>;

const fileIn = (home: string): string => join(home, "run", "start.json");

/** Returns the `npm start` that runs with this home folder, or `undefined`. */
export function runningStart(home: string): Running | undefined {
  let text: string;
  try {
    text = readFileSync(fileIn(home), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const found = Running.safeParse(JSON.parse(text));
  return found.success && stillRuns(found.data) ? found.data : undefined;
}

/**
 * Claims the home folder for this process and returns the release.
 * Throws `BadInput` naming the process and the page of an `npm start` that already runs with it.
 */
export function claimStart(home: string, port: number): () => void {
  mkdirSync(join(home, "run"), { recursive: true, mode: 0o700 });
  const file = fileIn(home);
  const mine = writeOwn(home, port);
  try {
    claim(mine, file, home);
  } finally {
    rmSync(mine, { force: true });
  }
  return () => rmSync(file, { force: true });
}

/** Notes, for whoever holds the claim, at which port its page is served. */
export function notePort(home: string, port: number): void {
  renameSync(writeOwn(home, port), fileIn(home));
}

/** Writes what this process says of itself beside the file and returns where. */
function writeOwn(home: string, port: number): string {
  const self: ProcessIdentity | undefined = identityOf(process.pid);
  if (self === undefined) throw new ExplainedError("no-proc", "/proc is not mounted.", "Mount it, then start again.");
  const mine = `${fileIn(home)}.${process.pid}`;
  writeFileSync(mine, JSON.stringify({ ...self, port }), { mode: 0o600 });
  return mine;
}

function claim(mine: string, file: string, home: string): void {
  // A link either makes the name or fails: of two starts at once, one wins.
  for (let stale = 0; stale < 2; stale++) {
    try {
      linkSync(mine, file);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const other = runningStart(home);
    if (other !== undefined) {
      const serves = other.port !== 0;
      const page = serves ? `, with its page at http://127.0.0.1:${other.port}` : "";
      throw new BadInput("The command", [
        {
          path: "npm start",
          value: String(other.pid),
          message: `npm start already runs for this checkout as process ${other.pid}${page}.`,
          fix: `${serves ? "Use that page, or stop" : "Stop"} that process with Ctrl-C first.`,
        },
      ]);
    }
    rmSync(file, { force: true });
  }
  throw new ExplainedError("start-race", "Another npm start took this checkout at the same moment.", "Use its page.");
}
