import pg from "pg";
import { ExplainedError } from "../../../infra/problem.ts";
import { connectAsOwner, refuseOldServer } from "../database.ts";

const connectMs = 10_000;
const lockWaitMs = 15_000;

/** How values are written as text, wherever the session is; and that no limit of the server's ends a long one. */
const settings = [
  "timezone = 'UTC'",
  "datestyle = 'ISO'",
  "intervalstyle = 'iso_8601'",
  "bytea_output = 'hex'",
  "extra_float_digits = 1",
  "statement_timeout = 0",
  "lock_timeout = 0",
  "idle_in_transaction_session_timeout = 0",
];

/**
 * Returns a session of the schema's owner at `url` in which every value has one text form. The caller ends it.
 * @throws BadInput naming DATABASE_URL when the server cannot be reached, refuses us or is too old.
 */
export async function openSession(url: string): Promise<pg.Client> {
  const owner = connectAsOwner(url, () => undefined);
  try {
    await refuseOldServer(owner, url);
  } finally {
    await owner.destroy();
  }
  const session = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectMs,
    application_name: "gradientlab-backup",
  });
  // A session that breaks fails the query under way too, which is where it is told.
  session.on("error", () => undefined);
  await session.connect();
  await session.query(settings.map((setting) => `set ${setting}`).join("; "));
  return session;
}

/**
 * Takes the lock that `what` names for as long as the session lasts. Returns false when another session keeps it: that of
 * a process which was killed is gone after a moment.
 */
export async function takeLock(session: pg.Client, what: string): Promise<boolean> {
  const deadline = Date.now() + lockWaitMs;
  for (;;) {
    const { rows } = await session.query<{ got: boolean }>(
      "select pg_try_advisory_lock(7232005, hashtext($1)) as got, pg_sleep(0.1)",
      [what],
    );
    if (rows[0]?.got === true) return true;
    if (Date.now() > deadline) return false;
  }
}

const lost = new Set(["ECONNRESET", "ECONNREFUSED", "EPIPE", "57P01", "57P02", "57P03", "08006", "08003"]);

/** Runs `work`, and says in a sentence that the disk is full or that the database went away while it was at it. */
export async function explaining<Result>(command: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ExplainedError || !(error instanceof Error)) throw error;
    const { code = "" } = error as { code?: string };
    if (code === "ENOSPC" || code === "EDQUOT" || code === "53100") {
      throw new ExplainedError(
        "disk-full",
        code === "53100" ? `The database's disk is full: ${error.message}.` : "The disk of the backup is full.",
        `Free some of it, then run npm run ${command} again as before: it goes on where it was.`,
        { cause: error },
      );
    }
    if (lost.has(code) || /Connection terminated|is not queryable/.test(error.message)) {
      throw new ExplainedError(
        "database-lost",
        `The database ended the session: ${error.message}.`,
        `See that it runs, then run npm run ${command} again as before: it goes on where it was.`,
        { cause: error },
      );
    }
    throw error;
  }
}
