import { createReadStream } from "node:fs";
import { realpath, statfs } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";
import type pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { BadInput, ExplainedError, type Problem } from "../../../infra/problem.ts";
import type { Archives } from "../archive/archives.ts";
import { migrationLock, migrations, migrationTable, openDatabase, refuseForeignSchema } from "../database.ts";
import { sumOfFile } from "../file-sum.ts";
import { placeInBackup, restoreArchives } from "./archives.ts";
import { type Manifest, type Piece, readManifest } from "./manifest.ts";
import { columnList, digestOf } from "./pieces.ts";
import { explaining, openSession, takeLock } from "./session.ts";
import { madeHere, restoreTables, type Table, tablesOf } from "./tables.ts";

export interface RestoreOrder {
  /** The database to fill, as the account that is to own its schema. */
  readonly url: string;
  readonly folder: string;
  /** A folder on the disk that the database's data lies on, where that is known. */
  readonly dataFolder: string | null;
  /** Where archives are to lie; absent: they stay where they are. */
  readonly archives?: Archives;
}

/** A database that was filled. `kept` of the backup's files were in it from an attempt before. */
export interface Restored {
  readonly manifest: Manifest;
  readonly kept: number;
  /** Files of archives that are neither in the backup nor where they should lie. */
  readonly missingArchives: readonly string[];
}

/** What is taken away while rows come in and made again after them. */
interface SetAside {
  readonly foreignKeys: readonly { readonly table: string; readonly name: string; readonly definition: string }[];
  readonly triggers: readonly { readonly table: string; readonly name: string }[];
}

/**
 * Fills an empty database from the backup in a folder, and brings it to this release's schema. All files are compared
 * with the manifest before anything is written; each file is one transaction, in which the server counts the rows and
 * their digest anew. Where an attempt was interrupted it goes on behind the last of them. Until the last transaction the
 * database says that it is unfinished, and no collector works on it.
 * @throws BadInput when the folder is no backup or damaged, or the database cannot be reached or is not empty.
 * @throws ExplainedError when the schema or the format is a newer release's, the disk is too small or full, or the
 * database went away.
 */
export async function restoreBackup(order: RestoreOrder, say: (text: string) => void): Promise<Restored> {
  return explaining("restore", async () => {
    const manifest = await readManifest(order.folder);
    refuseForeignSchema(manifest.migrations, await migrations());
    await checkFiles(order.folder, manifest, say);
    const session = await openSession(order.url);
    let kept: number;
    let missingArchives: readonly string[];
    try {
      if (!(await takeLock(session, "restore"))) throw notEmpty("is being restored by another process");
      const begun = await whatIsThere(session, manifest);
      await refuseSmallDisk(session, order, manifest);
      if (!begun) {
        say("schema");
        await prepare(session, manifest);
      }
      missingArchives = await restoreArchives(manifest, order.folder, order.archives, say);
      kept = await fill(session, order.folder, manifest, say);
      say("constraints");
      await finish(session, manifest);
      await session.query("analyze");
    } finally {
      await session.end();
    }
    await (await openDatabase(order.url, () => undefined)).destroy();
    return { manifest, kept, missingArchives };
  });
}

/** Throws `BadInput` naming every file that is missing or not what the manifest says, or that no table is told of. */
async function checkFiles(folder: string, manifest: Manifest, say: (text: string) => void): Promise<void> {
  const problems: Problem[] = [];
  let bytes = 0;
  const archives = (manifest.archives ?? []).filter(({ copied }) => copied);
  const copies = archives.map((archive) => ({ ...archive, file: placeInBackup(archive.file) }));
  for (const piece of [...manifest.pieces, ...copies]) {
    const found = await sumOfFile(join(folder, piece.file));
    bytes += piece.bytes;
    say(`files: ${(bytes / 1e6).toFixed(1)} MB`);
    if (found?.sha256 === piece.sha256) continue;
    const message =
      found === null
        ? `${piece.file} is missing.`
        : found.bytes === piece.bytes
          ? `${piece.file} is damaged: its SHA-256 is not the manifest's.`
          : `${piece.file} is damaged: it has ${found.bytes} bytes and should have ${piece.bytes}.`;
    const fix = "Bring it from another copy of this backup.";
    problems.push({ path: join(folder, piece.file), value: undefined, message, fix });
  }
  if (problems.length > 0) throw new BadInput(`The backup in ${await realpath(folder)}`, problems);
}

function notEmpty(what: string): ExplainedError {
  return new ExplainedError(
    "database-not-empty",
    `The database ${what}.`,
    "Restore into an empty one: name another database by DATABASE_URL, or another folder by GRADIENTLAB_HOME. Nothing was changed.",
  );
}

/** Returns whether the database holds the beginning of this backup; false: it is empty. Throws where it is neither. */
async function whatIsThere(session: pg.Client, manifest: Manifest): Promise<boolean> {
  const encoding = await session.query<{ encoding: string }>("select current_setting('server_encoding') as encoding");
  if (encoding.rows[0]?.encoding !== "UTF8") {
    throw new ExplainedError(
      "database-encoding",
      `The database's encoding is ${encoding.rows[0]?.encoding}.`,
      "Make it with: create database <name> encoding 'UTF8' template template0.",
    );
  }
  const { rows } = await session.query<{ name: string }>(
    `select relname as name from pg_class where ${madeHere} and relkind in ('r', 'p', 'v', 'm', 'f') order by relname`,
  );
  if (rows.length === 0) return false;
  if (rows.some(({ name }) => name === restoreTables[0])) {
    const begun = await session.query<{ backup: string }>(`select backup from ${restoreTables[0]}`);
    if (begun.rows[0]?.backup === manifest.id) return true;
    throw notEmpty("holds an unfinished restore of another backup");
  }
  throw notEmpty(`is not empty: it has ${rows.length} tables, such as ${rows[0]?.name}`);
}

async function refuseSmallDisk(session: pg.Client, order: RestoreOrder, manifest: Manifest): Promise<void> {
  if (order.dataFolder === null) return;
  const { rows } = await session.query<{ bytes: string }>("select pg_database_size(current_database()) as bytes");
  const disk = await statfs(order.dataFolder);
  const free = disk.bavail * disk.bsize;
  const needed = manifest.databaseBytes - Number(rows[0]?.bytes);
  if (free >= needed) return;
  const inMib = (bytes: number): number => Math.ceil(bytes / 1024 / 1024);
  throw new ExplainedError(
    "disk-small",
    `The database takes ${inMib(needed)} MiB more, and ${order.dataFolder} has ${inMib(free)} MiB free.`,
    "Free what is missing, or restore to another disk: set GRADIENTLAB_HOME or DATABASE_URL.",
  );
}

/** Makes the schema that the backup is of, with its partitions, ready to take rows as they come; in one transaction. */
async function prepare(session: pg.Client, manifest: Manifest): Promise<void> {
  const known = await migrations();
  await session.query("begin");
  await session.query("select pg_advisory_xact_lock($1)", [migrationLock]);
  await session.query(migrationTable);
  for (const { text } of known.slice(0, manifest.migrations.length)) await session.query(text);
  const aside = await setAside(session);
  const tables = await tablesOf(session);
  refuseOtherTables(tables, manifest);
  for (const { name, partitions } of manifest.tables) await makePartitions(session, name, partitions, tables);
  // What a migration puts in is in the backup too.
  await session.query(`truncate ${tables.map((table) => session.escapeIdentifier(table.name)).join(", ")}`);
  await session.query(
    `create table ${restoreTables[0]} (backup text primary key, aside jsonb not null);
     create table ${restoreTables[1]} (file text primary key)`,
  );
  await session.query(`insert into ${restoreTables[0]} values ($1, $2)`, [manifest.id, JSON.stringify(aside)]);
  await session.query("commit");
}

/** Foreign keys would ask for an order of rows, and triggers would rewrite or refuse what is evidence already. */
async function setAside(session: pg.Client): Promise<SetAside> {
  const keys = await session.query<SetAside["foreignKeys"][number]>(
    `select relname as table, conname as name, pg_get_constraintdef(pg_constraint.oid) as definition
     from pg_constraint join pg_class on pg_class.oid = conrelid
     where relnamespace = current_schema()::regnamespace and contype = 'f' and conparentid = 0 order by 1, 2`,
  );
  const triggers = await session.query<SetAside["triggers"][number]>(
    `select relname as table, tgname as name from pg_trigger join pg_class on pg_class.oid = tgrelid
     where relnamespace = current_schema()::regnamespace and not tgisinternal and tgparentid = 0 and tgenabled = 'O'
     order by 1, 2`,
  );
  const aside = { foreignKeys: keys.rows, triggers: triggers.rows };
  const quoted = session.escapeIdentifier;
  for (const { table, name } of aside.foreignKeys)
    await session.query(`alter table ${quoted(table)} drop constraint ${quoted(name)}`);
  for (const { table, name } of aside.triggers)
    await session.query(`alter table ${quoted(table)} disable trigger ${quoted(name)}`);
  return aside;
}

/** The manifest may be of a release whose migrations have our texts and must then have our tables. */
function refuseOtherTables(tables: readonly Table[], manifest: Manifest): void {
  const described = (all: readonly Pick<Table, "name" | "columns">[]): string =>
    JSON.stringify(all.map(({ name, columns }) => [name, columns.toSorted()]).sort());
  if (described(tables) === described(manifest.tables)) return;
  throw new ExplainedError(
    "backup-other",
    "The backup's tables are not those of its schema.",
    "Use another copy of this backup: this one was changed, or taken of a database to which tables were added by hand.",
  );
}

async function makePartitions(
  session: pg.Client,
  parent: string,
  wanted: Manifest["tables"][number]["partitions"],
  tables: readonly Table[],
): Promise<void> {
  const there = tables.find(({ name }) => name === parent)?.partitions ?? [];
  const quoted = session.escapeIdentifier;
  for (const { name } of there.filter((one) => !wanted.some((other) => other.name === one.name)))
    await session.query(`drop table ${quoted(name)}`);
  for (const { name, bounds } of wanted.filter((one) => !there.some((other) => other.name === one.name)))
    await session.query(`create table ${quoted(name)} partition of ${quoted(parent)} ${bounds}`);
}

/** Brings in the rows of each file that is not in yet. Returns how many were. */
async function fill(
  session: pg.Client,
  folder: string,
  manifest: Manifest,
  say: (text: string) => void,
): Promise<number> {
  const tables = new Map((await tablesOf(session)).map((table) => [table.name, table]));
  const done = await session.query<{ file: string }>(`select file from ${restoreTables[1]}`);
  const files = new Set(done.rows.map(({ file }) => file));
  for (const [index, piece] of manifest.pieces.entries()) {
    if (files.has(piece.file)) continue;
    const table = tables.get(piece.table);
    if (table === undefined) throw differs(piece);
    say(`${piece.table}: file ${index + 1} of ${manifest.pieces.length}`);
    await session.query("begin");
    const source = createReadStream(join(folder, piece.file));
    const target = session.query(
      copyFrom(`copy ${session.escapeIdentifier(table.name)} (${columnList(table)}) from stdin`),
    );
    await pipeline(source, createZstdDecompress(), target);
    const { rows, digest } = await digestOf(session, table, piece);
    if (rows !== piece.rows || digest !== piece.digest) {
      await session.query("rollback");
      throw differs(piece);
    }
    await session.query(`insert into ${restoreTables[1]} values ($1)`, [piece.file]);
    await session.query("commit");
  }
  return files.size;
}

function differs(piece: Piece): ExplainedError {
  return new ExplainedError(
    "restore-differs",
    `The rows of ${piece.file} are not in the database what they were in the backed-up one.`,
    "Use another copy of this backup, and an empty database.",
  );
}

/** Makes the database whole, in one transaction: what was set aside is back, sequences go on, every table is recounted. */
async function finish(session: pg.Client, manifest: Manifest): Promise<void> {
  const quoted = session.escapeIdentifier;
  await session.query("begin");
  await session.query("select pg_advisory_xact_lock($1)", [migrationLock]);
  const [found] = (await session.query<{ aside: SetAside }>(`select aside from ${restoreTables[0]}`)).rows;
  if (found === undefined) throw new Error("a restore that is under way says what it set aside");
  for (const { table, name, definition } of found.aside.foreignKeys)
    await session.query(`alter table ${quoted(table)} add constraint ${quoted(name)} ${definition}`);
  for (const { table, name } of found.aside.triggers)
    await session.query(`alter table ${quoted(table)} enable trigger ${quoted(name)}`);
  for (const { name, last, called } of manifest.sequences)
    await session.query("select setval(quote_ident($1)::regclass, $2, $3)", [name, last, called]);
  for (const table of manifest.tables) {
    const { rows } = await session.query<{ count: string }>(`select count(*) from ${quoted(table.name)}`);
    if (Number(rows[0]?.count) === table.rows) continue;
    throw new ExplainedError(
      "restore-differs",
      `The table ${table.name} has ${rows[0]?.count} rows, and ${table.rows} were backed up.`,
      "Use another copy of this backup, and an empty database.",
    );
  }
  await session.query(`drop table ${restoreTables.join(", ")}`);
  await session.query("commit");
}
