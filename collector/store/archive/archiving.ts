import { randomBytes } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { sql } from "kysely";
import type { Database, InTransaction } from "../database.ts";
import { syncFolder } from "../durable.ts";
import { sumOfFile } from "../file-sum.ts";
import type { ArchiveFile, Archives } from "./archives.ts";
import { bodies } from "./kept-bodies.ts";
import { packs } from "./kept-packs.ts";
import { type Cell, type ColumnSpec, createParquet } from "./parquet.ts";

/** What archiving did. */
export interface Archived {
  readonly files: number;
  readonly rows: number;
}

/** An archive that is kept, as its row says. */
export interface KeptArchive extends ArchiveFile {
  readonly id: number;
  /** The first day of its month, as PostgreSQL writes it. */
  readonly month: string;
}

/** How one kind of things goes into archives. A `Unit` is what moves as one: it takes rows that follow each other. */
export interface ArchiveKind<Unit> {
  readonly kind: "lines" | "readings";
  readonly columns: readonly ColumnSpec[];
  /** Returns the month of the oldest that is in the database and older than `before`; null where there is none. */
  oldest(session: Database, before: Date): Promise<string | null>;
  /** Returns those of a month that are in the database, in the order in which they are to be written. */
  inDatabase(session: Database, month: string): Promise<readonly Unit[]>;
  /** Returns those that are in an archive, in that order. */
  inArchive(session: Database, archive: number): Promise<readonly Unit[]>;
  compare(one: Unit, other: Unit): number;
  /** Row groups do not go beyond those that have one of these in common. */
  groupOf(unit: Unit): string;
  /** Returns the rows of a unit, from the database or from the archive that it is in. */
  rowsOf(session: Database, archives: Archives, from: KeptArchive | null, unit: Unit): Promise<readonly ArchiveRow[]>;
  /** Returns what proves that a file holds a unit in the rows from `place` on. @throws Error when it does not. */
  proofOf(archives: Archives, file: ArchiveFile, unit: Unit, place: number): Promise<unknown>;
  /** Puts the rows of the file in the place of the units; the database compares the proofs. */
  keep(transaction: InTransaction, archive: number, file: WrittenFile, units: readonly Placed<Unit>[]): Promise<void>;
}

export type ArchiveRow = Readonly<Record<string, Cell>>;

/** A file as it was written. */
export interface WrittenFile extends ArchiveFile {
  readonly rows: number;
}

/** A unit, the row at which it begins, and the proof that it is there. */
export interface Placed<Unit> {
  readonly unit: Unit;
  readonly place: number;
  readonly proof: unknown;
}

/** The advisory lock of whoever changes archives; shared, it keeps them as they are. */
export const archiveLock = 7_232_009;
const mostRows = 8_192;
const mostBytes = 8_000_000;

/**
 * Moves what is of months that ended before `before` from the database into archives, a file for each month, one after
 * the other: what is done stays done, whenever this ends. A month that got something late is written anew, with it.
 * Returns null where another collector is at it. `say` hears of each step.
 * @throws ArchiveUnreadable when an archive that there should be is not in the folder: then it is the wrong folder.
 */
export async function archiveOldMonths(
  database: Database,
  archives: Archives,
  before: Date,
  signal: AbortSignal,
  say: (text: string) => void = () => undefined,
): Promise<Archived | null> {
  return withArchiveLock(database, "try", async (session) => {
    await removeLeftovers(session, archives);
    for (const archive of await keptArchives(session)) await archives.check(archive);
    // Hours and days are counted from lines that are in the database.
    const waiting = await session
      .selectFrom("node_latest")
      .select("node_id")
      .where("rolled_up", "=", false)
      .limit(1)
      .execute();
    if (waiting.length > 0) return { files: 0, rows: 0 };
    const [lines, answers] = [
      await archiveKind(session, archives, packs, before, signal, say),
      await archiveKind(session, archives, bodies, before, signal, say),
    ];
    return { files: lines.files + answers.files, rows: lines.rows + answers.rows };
  });
}

async function archiveKind<Unit>(
  session: Database,
  archives: Archives,
  kind: ArchiveKind<Unit>,
  before: Date,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<Archived> {
  let [files, rows] = [0, 0];
  for (;;) {
    const month = await kind.oldest(session, before);
    if (month === null || signal.aborted) return { files, rows };
    const old = (await keptArchives(session, kind.kind)).find((archive) => archive.month === month) ?? null;
    const held = old === null ? [] : await kind.inArchive(session, old.id);
    const units = [...held, ...(await kind.inDatabase(session, month))].toSorted(kind.compare);
    const written = await writeArchive(session, archives, { kind, month, old, units, signal, say });
    await removeLeftovers(session, archives);
    say(`${kind.kind} of ${month} are archived`);
    files++;
    rows += written.rows;
  }
}

interface ArchiveOrder<Unit> {
  readonly kind: ArchiveKind<Unit>;
  readonly month: string;
  readonly old: KeptArchive | null;
  readonly units: readonly Unit[];
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
  /** What else is done in the transaction that makes the file the month's archive, before that. */
  readonly within?: (transaction: InTransaction) => Promise<unknown>;
}

/**
 * Writes a month's archive, reads it back and makes it the one that is kept. The file is on the disk, under its name, before
 * the database knows of it; until then nothing else has changed.
 */
async function writeArchive<Unit>(
  session: Database,
  archives: Archives,
  order: ArchiveOrder<Unit>,
): Promise<WrittenFile> {
  const { kind, month, say, signal } = order;
  const file = `${kind.kind}-${month.replace(/-01(?: (BC))?$/, "$1")}.${randomBytes(4).toString("hex")}.parquet`;
  const { id } = await session
    .insertInto("archive")
    .values({ kind: kind.kind, month, file, state: "writing", began_at: sql<Date>`now()` })
    .returning("id")
    .executeTakeFirstOrThrow();
  say(`${file} is begun`);
  await mkdir(archives.folder, { recursive: true, mode: 0o700 });
  const part = `${archives.path(file)}.part`;
  const places: number[] = [];
  let rows = 0;
  const parquet = await createParquet(part, kind.columns, { format: `gradientlab-${kind.kind}/1`, month });
  try {
    let [group, bytes, waiting] = ["", 0, [] as ArchiveRow[]];
    const flush = async (): Promise<void> => {
      if (waiting.length === 0) return;
      await parquet.write(
        Object.fromEntries(kind.columns.map(({ name }) => [name, waiting.map((row) => row[name] ?? null)])),
      );
      [waiting, bytes] = [[], 0];
      say(`${file} has ${rows} rows`);
    };
    for (const unit of order.units) {
      signal.throwIfAborted();
      const own = await kind.rowsOf(session, archives, order.old, unit);
      if (kind.groupOf(unit) !== group || waiting.length + own.length > mostRows || bytes > mostBytes) await flush();
      group = kind.groupOf(unit);
      places.push(rows);
      waiting.push(...own);
      rows += own.length;
      bytes += sizeOf(own);
    }
    await flush();
    await parquet.finish();
  } finally {
    await parquet.close();
  }
  await rename(part, archives.path(file));
  await syncFolder(archives.folder);
  say(`${file} is written`);
  const sum = await sumOfFile(archives.path(file));
  if (sum === null) throw new Error(`${file} went while it was being written`);
  const written = { file, rows, ...sum };
  const placed: Placed<Unit>[] = [];
  for (const [index, unit] of order.units.entries()) {
    signal.throwIfAborted();
    const place = places[index] ?? 0;
    placed.push({ unit, place, proof: await kind.proofOf(archives, written, unit, place) });
  }
  say(`${file} is read back`);
  await session.transaction().execute(async (transaction) => {
    await order.within?.(transaction);
    await kind.keep(transaction, id, written, placed);
  });
  say(`${file} is kept`);
  return written;
}

function sizeOf(rows: readonly ArchiveRow[]): number {
  // Of what has no bound.
  return rows.reduce((sum, { line, form, body }) => sum + text(line) + text(form) + text(body), 0);
}

function text(cell: Cell | undefined): number {
  return typeof cell === "string" ? cell.length : 0;
}

/**
 * Erases units from a month's archive: it is written anew without them, `within` notes in the same transaction that they
 * are erased, and then the old file goes. `session` is of the schema's owner and holds the archives' lock.
 */
export async function eraseFromArchive<Unit>(
  session: Database,
  archives: Archives,
  kind: ArchiveKind<Unit>,
  old: KeptArchive,
  gone: (unit: Unit) => boolean,
  within: (transaction: InTransaction) => Promise<unknown>,
  say: (text: string) => void,
): Promise<void> {
  const units = (await kind.inArchive(session, old.id)).filter((unit) => !gone(unit));
  if (units.length > 0) {
    const signal = new AbortController().signal;
    await writeArchive(session, archives, { kind, month: old.month, old, units, signal, say, within });
  } else {
    await session.transaction().execute(async (transaction) => {
      await within(transaction);
      await transaction.updateTable("archive").set({ state: "replaced" }).where("id", "=", old.id).execute();
    });
  }
  await removeLeftovers(session, archives);
}

/** Returns the archives that are kept, the oldest month first. */
export async function keptArchives(session: Database, kind?: "lines" | "readings"): Promise<KeptArchive[]> {
  let query = session
    .selectFrom("archive")
    .select(["id", "month", "file", "sha256", "bytes"])
    .where("state", "=", "kept")
    .orderBy("month")
    .orderBy("kind");
  if (kind !== undefined) query = query.where("kind", "=", kind);
  const rows = await query.execute();
  return rows.map(({ sha256, bytes, ...row }) => ({ ...row, sha256: sha256 ?? "", bytes: Number(bytes) }));
}

/**
 * Removes files that nothing is in any more, and those that were being written when their collector ended, with their
 * rows. The caller holds the archives' lock, so nobody is writing.
 */
export async function removeLeftovers(session: Database, archives: Archives): Promise<void> {
  const rows = await session.selectFrom("archive").select(["id", "file"]).where("state", "<>", "kept").execute();
  for (const { id, file } of rows) {
    await rm(archives.path(file), { force: true });
    await rm(`${archives.path(file)}.part`, { force: true });
    await mkdir(archives.folder, { recursive: true, mode: 0o700 });
    await syncFolder(archives.folder);
    await session.deleteFrom("archive").where("id", "=", id).execute();
  }
}

/**
 * Runs `work` on a session that alone may change archives. With `try` it returns null where another one is at it, with
 * `wait` it waits for that one.
 */
export async function withArchiveLock<Result>(
  database: Database,
  how: "try" | "wait",
  work: (session: Database) => Promise<Result>,
): Promise<Result | null> {
  return database.connection().execute(async (session) => {
    const got =
      how === "try" ? sql`pg_try_advisory_lock(${archiveLock})` : sql`pg_advisory_lock(${archiveLock}) is not null`;
    const { rows } = await sql<{ got: boolean }>`select ${got} as got`.execute(session);
    if (rows[0]?.got !== true) return null;
    try {
      return await work(session);
    } finally {
      await sql`select pg_advisory_unlock(${archiveLock})`.execute(session);
    }
  });
}
