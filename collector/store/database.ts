import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { Kysely, PostgresDialect, sql, type Transaction } from "kysely";
import pg from "pg";
import { BadInput, ExplainedError } from "../../infra/problem.ts";
import { daemonRole, prepareRole } from "./role.ts";
import type { Tables } from "./schema.ts";

/** The database, as every repository takes it: a connection pool, or one transaction on it. */
export type Database = Kysely<Tables>;
export type InTransaction = Transaction<Tables>;

/** Runs `work` in the transaction that `database` is, or in one of its own. */
export async function inTransaction<Result>(
  database: Database,
  work: (transaction: InTransaction) => Promise<Result>,
): Promise<Result> {
  return database.isTransaction ? work(database as InTransaction) : database.transaction().execute(work);
}

/**
 * Runs `work` in a transaction that no other collector is in at the same time with the same advisory lock. Returns null
 * where another one is at it: then that one sees to it.
 */
export function inTransactionAlone<Result>(
  database: Database,
  lock: number,
  work: (transaction: InTransaction) => Promise<Result>,
): Promise<Result | null> {
  return database.transaction().execute(async (transaction) => {
    const { rows } = await sql<{
      alone: boolean;
    }>`select pg_try_advisory_xact_lock(${lock}) as alone`.execute(transaction);
    return rows[0]?.alone === true ? work(transaction) : null;
  });
}

/** The oldest server that the queries are written for. */
const leastMajor = 16;

const connectMs = 10_000;
// Each holds some megabytes of what it knows of the tables.
const sessions = 8;
/** The advisory lock of whoever makes or changes the schema. */
export const migrationLock = 7_232_001;

/** The statement that makes the table of applied migrations where it is missing. */
export const migrationTable = `create table if not exists migration (
  number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now()
)`;

/** Returns `text` values for the types whose JavaScript counterpart would lose something: days are days, not instants. */
const types = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === pg.types.builtins.DATE
      ? (value: string) => value
      : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/**
 * Opens the database at `url` and brings its schema to this release's, as the account of `url`; what is returned
 * works as the daemon's role. `onError` hears of idle sessions that broke, `note` why there is no such role.
 * @throws BadInput naming DATABASE_URL when the server cannot be reached, refuses us or is too old.
 * @throws ExplainedError when the schema belongs to a newer release, an applied migration was changed or a restore into it
 * was interrupted.
 */
export async function openDatabase(
  url: string,
  onError: (error: Error) => void,
  note: (sentence: string) => void = () => undefined,
): Promise<Database> {
  const owner = connect(url, 1, null, onError);
  try {
    await refuseOldServer(owner, url);
    const refusal = await migrate(owner);
    if (refusal !== null) note(refusal);
    return connect(url, sessions, refusal === null ? daemonRole : null, onError);
  } finally {
    await owner.destroy();
  }
}

/** Returns a connection of the schema's owner, who may erase bodies of readings; the schema is not looked at. */
export function connectAsOwner(url: string, onError: (error: Error) => void): Database {
  return connect(url, 1, null, onError);
}

function connect(url: string, max: number, role: string | null, onError: (error: Error) => void): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    connectionTimeoutMillis: connectMs,
    application_name: "gradientlab-collector",
    options: `-c timezone=UTC${role === null ? "" : ` -c role=${role}`}`,
    types,
  });
  pool.on("error", onError);
  // A session that breaks between two statements of a transaction has no other listener: it would end the process.
  pool.on("connect", (client) => client.on("error", onError));
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}

/**
 * Throws `BadInput` naming DATABASE_URL when the server at `url` cannot be reached, refuses us or is too old; `database`
 * is a connection to it.
 */
export async function refuseOldServer(database: Database, url: string): Promise<void> {
  const where = placeOf(url);
  let version: number;
  try {
    const { rows } = await sql<{
      version: number;
    }>`select current_setting('server_version_num')::int as version`.execute(database);
    version = rows[0]?.version ?? 0;
  } catch (error) {
    const why =
      error instanceof Error && error.message !== "" ? error.message : String((error as { code?: string }).code);
    throw inUrl(
      where,
      `DATABASE_URL names ${where}, which cannot be reached: ${why}.`,
      "Start that server, correct DATABASE_URL, or unset it to use the embedded PostgreSQL.",
      error,
    );
  }
  if (version >= leastMajor * 10_000) return;
  throw inUrl(
    where,
    `DATABASE_URL names ${where}, a PostgreSQL ${Math.floor(version / 10_000)}, and version ${leastMajor} or newer is needed.`,
    `Upgrade that server to ${leastMajor} or newer, or unset DATABASE_URL to use the embedded PostgreSQL.`,
  );
}

/** Returns host, port and database of `url`: what may stand in a message. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

function inUrl(value: string, message: string, fix: string, cause?: unknown): BadInput {
  const problem = new BadInput("The collector's environment", [{ path: "DATABASE_URL", value, message, fix }]);
  if (cause !== undefined) problem.cause = cause;
  return problem;
}

interface Migration {
  readonly number: number;
  readonly name: string;
  readonly text: string;
  readonly sha256: string;
}

/** Returns the migrations of this release in order. @throws Error when their numbers are not 1, 2, 3... */
export async function migrations(): Promise<readonly Migration[]> {
  const folder = new URL("./migrations/", import.meta.url);
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  return Promise.all(
    names.map(async (name, index) => {
      const number = Number(name.slice(0, 4));
      if (number !== index + 1) throw new Error(`migration ${name} should have number ${index + 1}`);
      const text = await readFile(new URL(name, folder), "utf8");
      return { number, name, text, sha256: createHash("sha256").update(text).digest("hex") };
    }),
  );
}

/** Returns the number of the newest migration that the database has had; 0 where it has had none. */
export async function newestMigration(database: Database): Promise<number> {
  const { rows } = await sql<{ number: number | null }>`select max(number) as number from migration`.execute(database);
  return rows[0]?.number ?? 0;
}

/**
 * Applies the migrations that are missing, each in a transaction, and prepares the daemon's role; two collectors that
 * start at once take turns. Returns what `prepareRole` does.
 */
async function migrate(database: Database): Promise<string | null> {
  const known = await migrations();
  return database.connection().execute(async (session) => {
    await sql`select pg_advisory_lock(${migrationLock})`.execute(session);
    try {
      await refuseHalfRestored(session);
      await sql.raw(migrationTable).execute(session);
      const { rows } = await sql<{ number: number; name: string; sha256: string }>`
        select number, name, sha256 from migration order by number`.execute(session);
      refuseForeignSchema(rows, known);
      for (const migration of known.slice(rows.length)) {
        await session.transaction().execute(async (transaction) => {
          await sql.raw(migration.text).execute(transaction);
          await sql`insert into migration (number, name, sha256)
            values (${migration.number}, ${migration.name}, ${migration.sha256})`.execute(transaction);
        });
      }
      return await prepareRole(session);
    } finally {
      await sql`select pg_advisory_unlock(${migrationLock})`.execute(session);
    }
  });
}

async function refuseHalfRestored(session: Database): Promise<void> {
  const { rows } = await sql<{ half: boolean }>`
    select to_regclass('unfinished_restore') is not null as half`.execute(session);
  if (rows[0]?.half !== true) return;
  throw new ExplainedError(
    "restore-unfinished",
    "The database holds a part of a backup only: its restore was interrupted.",
    "Run npm run restore again as before: it goes on where it was.",
  );
}

/** Throws `ExplainedError` when applied migrations are not those that are `known`, as far as they go. */
export function refuseForeignSchema(
  applied: readonly { number: number; name: string; sha256: string }[],
  known: readonly Migration[],
): void {
  for (const row of applied) {
    const ours = known[row.number - 1];
    if (ours === undefined) {
      throw new ExplainedError(
        "schema-newer",
        `The database has schema ${row.number} (${row.name}), and this release knows ${known.length}.`,
        "Run the release that made this schema, or a newer one; migrations only go forward.",
      );
    }
    if (ours.sha256 !== row.sha256) {
      throw new ExplainedError(
        "schema-changed",
        `The database's schema ${row.number} was made by another text of ${ours.name} than this release has.`,
        "Run the release that made this schema, or restore the migration's file.",
      );
    }
  }
}
