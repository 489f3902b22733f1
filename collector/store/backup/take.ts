import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, realpath, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { isDeepStrictEqual } from "node:util";
import { constants, createZstdCompress } from "node:zlib";
import type pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import { BadInput, ExplainedError } from "../../../infra/problem.ts";
import type { Archives } from "../archive/archives.ts";
import { migrations, refuseForeignSchema } from "../database.ts";
import { syncFolder } from "../durable.ts";
import { sumOfFile } from "../file-sum.ts";
import { backUpArchives, holdArchives } from "./archives.ts";
import {
  type AppliedMigration,
  findBackup,
  type Manifest,
  noteBeginning,
  notePiece,
  type Piece,
  writeManifest,
} from "./manifest.ts";
import { columnList, copyOut, digestOf, nextStretch, rowsOfPiece, type Stretch } from "./pieces.ts";
import { explaining, openSession, takeLock } from "./session.ts";
import { restoreTables, sequencesOf, type Table, tablesOf } from "./tables.ts";

export interface BackupOrder {
  /** The database, as the account that owns its schema. */
  readonly url: string;
  readonly folder: string;
  /** The release that takes it, and the instant. */
  readonly release: string;
  readonly now: Date;
  /** About how much of a table, on the server, makes one file. */
  readonly pieceBytes: number;
  /** Where the archives are that are copied too; absent: they are listed only. */
  readonly archives?: Archives;
}

/** A backup that was taken. `kept` of its files were there from an attempt before and hold what they should. */
export interface Taken {
  readonly manifest: Manifest;
  readonly kept: number;
}

/**
 * Writes all rows of the database at one instant into a folder; collectors may be at work. Where the folder holds the
 * beginning of a backup, its files that hold what the database has now are kept. The folder becomes a backup by the last
 * step, its manifest.
 * @throws BadInput when the folder holds something else or a whole backup, or the database cannot be reached.
 * @throws ExplainedError when the database has no schema yet, a newer one or is itself half restored, when the disk is full
 * or the database went away.
 */
export async function takeBackup(order: BackupOrder, say: (text: string) => void): Promise<Taken> {
  return explaining("backup", async () => {
    const found = await findBackup(order.folder);
    if (found.kind === "whole") {
      throw inFolder(order.folder, `holds a whole backup of ${found.takenAt} already`, "Name another folder.");
    }
    if (found.kind === "other") {
      throw inFolder(order.folder, "is a folder with something else in it", "Name a folder that is new or empty.");
    }
    const session = await openSession(order.url);
    try {
      await makeFolder(order.folder);
      if (!(await takeLock(session, `backup ${await realpath(order.folder)}`))) {
        throw inFolder(order.folder, "is where another backup is being written", "Wait until that one has ended.");
      }
      const applied = await schemaOf(session);
      const begun = found.kind === "unfinished" && isDeepStrictEqual(found.migrations, applied);
      if (!begun) await noteBeginning(order.folder, applied);
      return await writeAll(session, order, applied, begun ? found.pieces : [], say);
    } finally {
      await session.end();
    }
  });
}

function inFolder(folder: string, what: string, fix: string): BadInput {
  return new BadInput("The command", [{ path: "--to", value: folder, message: `${folder} ${what}.`, fix }]);
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!["EACCES", "EROFS", "EEXIST", "ENOTDIR", "EPERM"].includes(code)) throw error;
    throw inFolder(folder, `cannot be made (${code})`, "Name a folder that this account may write.");
  }
}

/** Returns the migrations that made the schema. */
async function schemaOf(session: pg.Client): Promise<AppliedMigration[]> {
  const there = await session.query<{ schema: boolean; half: boolean }>(
    "select to_regclass('migration') is not null as schema, to_regclass($1) is not null as half",
    [restoreTables[0]],
  );
  const [{ schema, half } = { schema: false, half: false }] = there.rows;
  if (half) {
    throw new ExplainedError(
      "restore-unfinished",
      "The database holds a part of a backup only: its restore was interrupted.",
      "Run npm run restore again as before, then take the backup.",
    );
  }
  const applied = schema
    ? (await session.query<AppliedMigration>("select number, name, sha256 from migration order by number")).rows
    : [];
  if (applied.length === 0) {
    throw new ExplainedError(
      "backup-nothing",
      "The database holds nothing yet: no collector has worked on it.",
      "Check DATABASE_URL, or GRADIENTLAB_HOME for the embedded database; a collector makes its schema when it starts.",
    );
  }
  refuseForeignSchema(applied, await migrations());
  return applied;
}

/**
 * Reads everything in one snapshot. It sees no row of a partition that is dropped after it, so partitioned tables are
 * locked against that first, read first, and given free again: for a new partition too they would have to wait.
 */
async function writeAll(
  session: pg.Client,
  order: BackupOrder,
  migrations: readonly AppliedMigration[],
  before: readonly Piece[],
  say: (text: string) => void,
): Promise<Taken> {
  await holdArchives(session);
  const names = await tablesOf(session);
  await session.query("begin isolation level repeatable read, read only");
  const partitioned = names.filter(({ partitions }) => partitions.length > 0).map(({ name }) => name);
  const plain = names.filter(({ partitions }) => partitions.length === 0).map(({ name }) => name);
  await lock(session, plain);
  await session.query("savepoint partitions");
  await lock(session, partitioned);
  // The first query that reads takes the snapshot: after the locks.
  if (!isDeepStrictEqual(await schemaOf(session), migrations)) {
    throw new ExplainedError(
      "schema-changed",
      "Another release brought the database to its schema while the backup began.",
      "Run the backup again, with that release.",
    );
  }
  const tables = await tablesOf(session);
  const pieces: Piece[] = [];
  let kept = 0;
  const write = async (table: Table): Promise<void> => {
    for await (const one of piecesOf(session, order, table, before)) {
      pieces.push(one.piece);
      if (one.kept) kept++;
      say(`${table.name}: ${sum(pieces.filter((piece) => piece.table === table.name).map(({ rows }) => rows))} rows`);
    }
  };
  for (const table of tables.filter(({ partitions }) => partitions.length > 0)) await write(table);
  await session.query("rollback to savepoint partitions");
  for (const table of tables.filter(({ partitions }) => partitions.length === 0)) await write(table);
  const sequences = await sequencesOf(session);
  const archives = await backUpArchives(session, order.archives, order.folder, say);
  const server = await session.query<{ version: string; bytes: string }>(
    "select current_setting('server_version') as version, pg_database_size(current_database()) as bytes",
  );
  await session.query("commit");
  const manifest: Manifest = {
    id: randomUUID(),
    takenAt: order.now.toISOString(),
    release: order.release,
    serverVersion: server.rows[0]?.version ?? "",
    databaseBytes: Number(server.rows[0]?.bytes),
    migrations: [...migrations],
    tables: tables.map(({ name, columns, partitions }) => {
      const own = pieces.filter(({ table }) => table === name);
      return {
        name,
        columns: [...columns],
        rows: sum(own.map(({ rows }) => rows)),
        bytes: sum(own.map(({ bytes }) => bytes)),
        partitions: [...partitions],
      };
    }),
    sequences,
    pieces,
    archives,
  };
  for (const file of await writeManifest(order.folder, manifest)) await rm(join(order.folder, file), { force: true });
  return { manifest, kept };
}

async function lock(session: pg.Client, tables: readonly string[]): Promise<void> {
  if (tables.length === 0) return;
  await session.query(
    `lock table ${tables.map((name) => session.escapeIdentifier(name)).join(", ")} in access share mode`,
  );
}

/** Writes the pieces of a table one after the other, or keeps those that are there and hold the same. */
async function* piecesOf(
  session: pg.Client,
  order: BackupOrder,
  table: Table,
  before: readonly Piece[],
): AsyncGenerator<{ readonly piece: Piece; readonly kept: boolean }> {
  const rows = await rowsOfPiece(session, table, order.pieceBytes);
  let after: Piece["after"] = null;
  for (let index = 1; ; index++) {
    const file = `${table.name}.${String(index).padStart(5, "0")}.copy.zst`;
    const there = before.find((piece) => piece.file === file && isDeepStrictEqual(piece.after, after));
    const kept = there !== undefined && (await holds(session, order.folder, table, there)) ? there : null;
    let stretch: Stretch | null = kept;
    // One whose rows have changed ends where it did, so that those behind it may be kept.
    if (kept === null && there !== undefined && there.through !== null) stretch = { after, through: there.through };
    stretch ??= await nextStretch(session, table, after, rows);
    if (stretch === null) return;
    yield kept === null
      ? { piece: await writePiece(session, order.folder, table, stretch, file), kept: false }
      : { piece: kept, kept: true };
    if (stretch.through === null) return;
    after = stretch.through;
  }
}

/** Returns whether a piece of an earlier attempt holds what the database has now, and its file is what it was. */
async function holds(session: pg.Client, folder: string, table: Table, piece: Piece): Promise<boolean> {
  const { rows, digest } = await digestOf(session, table, piece);
  if (rows !== piece.rows || digest !== piece.digest) return false;
  return (await sumOfFile(join(folder, piece.file)))?.sha256 === piece.sha256;
}

async function writePiece(
  session: pg.Client,
  folder: string,
  table: Table,
  stretch: Stretch,
  file: string,
): Promise<Piece> {
  const { after, through } = stretch;
  const { rows, digest } = await digestOf(session, table, stretch);
  const source = session.query(copyTo(copyOut(table, stretch)));
  const params = { [constants.ZSTD_c_checksumFlag]: 1 };
  const hash = createHash("sha256");
  let bytes = 0;
  const part = join(folder, `${file}.part`);
  const handle = await open(part, "w", 0o600);
  try {
    await pipeline(source, createZstdCompress({ params }), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        hash.update(chunk);
        bytes += chunk.length;
        await handle.writeFile(chunk);
      }
    });
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (source.rowCount !== rows) {
    throw new Error(`COPY gave ${source.rowCount} rows of ${table.name} (${columnList(table)}), and there are ${rows}`);
  }
  await rename(part, join(folder, file));
  await syncFolder(folder);
  const piece: Piece = { file, table: table.name, after, through, rows, bytes, sha256: hash.digest("hex"), digest };
  await notePiece(folder, piece);
  return piece;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
