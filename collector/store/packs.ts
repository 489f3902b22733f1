import { sql } from "kysely";
import { type ArchiveFile, type Archives, ArchiveUnreadable } from "./archive/archives.ts";
import type { Database } from "./database.ts";
import { type KnownLine, linesOfPack } from "./packing.ts";

/** Which lines of a node are asked for: those in `[from, to)`, from behind a place on, of one kind. */
export interface LineFilter {
  readonly nodeId: number;
  readonly kind?: "sample" | "event";
  readonly from?: Date;
  readonly to?: Date;
  readonly order: "asc" | "desc";
  readonly after?: LinePlace;
  readonly limit: number;
}

/** The place of a line among all lines of its node. */
export interface LinePlace {
  readonly at: Date;
  readonly journal: number;
  readonly n: string;
}

/** A line of a journal, and which journal it is of. */
export interface LineRow {
  readonly uuid: string;
  readonly journal_id: number;
  readonly n: string;
  readonly at: Date;
  readonly kind: "sample" | "event";
  readonly every_s: number;
  readonly line: string;
}

// Days of a usual node: a page is met by the first read, and a long way is gone in few.
const linesPerDay = 288;
const mostPacksPerRead = 128;
const linesPerRead = 5_000;

/**
 * Returns packed lines of a node in the order of their places, from the database and from archives, none that lies behind
 * the instant `end`. @throws ArchiveUnreadable
 */
export async function packedRows(
  database: Database,
  archives: Archives | null,
  filter: LineFilter,
  end?: Date,
): Promise<LineRow[]> {
  const found: LineRow[] = [];
  let day: { readonly day: string; readonly lines: LineRow[] } | null = null;
  for await (const pack of packsOf(database, filter, end)) {
    // Packs come day by day: no line of a day lies beyond one of the next.
    if (day !== null && day.day !== pack.day) {
      found.push(...inOrder(day.lines, filter.order));
      if (found.length >= filter.limit) break;
      day = null;
    }
    day ??= { day: pack.day, lines: [] };
    if (pack.erased === null) day.lines.push(...linesIn(pack, await linesOf(pack, archives), filter));
  }
  if (day !== null && found.length < filter.limit) found.push(...inOrder(day.lines, filter.order));
  return found.slice(0, filter.limit);
}

/**
 * Yields the texts of all lines of a node, some at a time, in no order; without `archives`, of those in the database. The
 * caller holds one snapshot. @throws ArchiveUnreadable
 */
export async function* lineTexts(
  database: Database,
  nodeId: number,
  archives: Archives | null,
): AsyncGenerator<readonly string[]> {
  for await (const pack of packsOf(database, { nodeId, order: "asc", limit: linesPerRead }, undefined)) {
    if (pack.erased !== null || (pack.archive_row !== null && archives === null)) continue;
    yield (await linesOf(pack, archives)).map(({ line }) => line);
  }
  let after: { at: Date; journal_id: number; n: string } | undefined;
  for (;;) {
    let query = database
      .selectFrom("sample")
      .select(["at", "journal_id", "n"])
      .select(sql<string>`line::text`.as("line"))
      .where("node_id", "=", nodeId)
      .orderBy("at")
      .orderBy("journal_id")
      .orderBy("n")
      .limit(linesPerRead);
    if (after !== undefined) {
      const place = sql`(${after.at}::timestamptz, ${after.journal_id}::integer, ${after.n}::bigint)`;
      query = query.where("at", ">=", after.at).where(sql<boolean>`(at, journal_id, n) > ${place}`);
    }
    const rows = await query.execute();
    yield rows.map(({ line }) => line);
    after = rows.at(-1);
    if (rows.length < linesPerRead) return;
  }
}

/** Returns which of two lines comes first, as a comparison for `toSorted` with `asc`. */
export function comparePlaces(one: LineRow, other: LineRow): number {
  return one.at.getTime() - other.at.getTime() || one.journal_id - other.journal_id || Number(one.n) - Number(other.n);
}

function inOrder(lines: readonly LineRow[], order: "asc" | "desc"): LineRow[] {
  return lines.toSorted((one, other) => (order === "asc" ? comparePlaces(one, other) : comparePlaces(other, one)));
}

interface Pack {
  readonly uuid: string;
  readonly journal_id: number;
  readonly first_n: string;
  readonly day: string;
  readonly version: number;
  readonly erased: object | null;
  readonly sample_lines: Buffer | null;
  readonly event_lines: Buffer | null;
  readonly archive_row: number | null;
  readonly lines: number;
  /** Of the archive that it is in. */
  readonly file: string | null;
  readonly sha256: string | null;
  readonly bytes: string | null;
}

/**
 * Returns the lines of a pack that is not erased, from the database or from its archive.
 * @throws ArchiveUnreadable, and ExplainedError `pack-damaged`
 */
export async function linesOf(
  pack: Parameters<typeof linesOfPack>[0] & Pick<Pack, "archive_row" | "lines" | "file" | "sha256" | "bytes">,
  archives: Archives | null,
): Promise<readonly KnownLine[]> {
  if (pack.archive_row === null || pack.file === null) return linesOfPack(pack);
  if (archives === null) throw new ArchiveUnreadable("missing", pack.file);
  return archives.lines(archiveOf({ ...pack, file: pack.file }), pack.archive_row, pack.lines);
}

/** Returns the file of an archive from columns that a join gave. */
export function archiveOf(row: {
  readonly file: string;
  readonly sha256: string | null;
  readonly bytes: string | null;
}): ArchiveFile {
  return { file: row.file, sha256: row.sha256 ?? "", bytes: Number(row.bytes) };
}

async function* packsOf(database: Database, filter: LineFilter, end: Date | undefined): AsyncGenerator<Pack> {
  // Of events a day has few, of samples a few hundred: so many packs meet the limit.
  let size = filter.kind === "event" ? filter.limit : Math.ceil(filter.limit / linesPerDay) + 1;
  let after: Pack | undefined;
  for (;;) {
    size = Math.min(size, mostPacksPerRead);
    const packs = await readPacks(database, filter, end, after, size);
    yield* packs;
    if (packs.length < size) return;
    after = packs.at(-1);
    size *= 2;
  }
}

async function readPacks(
  database: Database,
  filter: LineFilter,
  end: Date | undefined,
  after: Pack | undefined,
  limit: number,
): Promise<Pack[]> {
  const { kind, order } = filter;
  const earliest = later(filter.from, order === "asc" ? filter.after?.at : end);
  const latest = earlier(filter.to, order === "desc" ? filter.after?.at : end);
  let query = database
    .selectFrom("line_pack")
    .innerJoin("journal", "journal.id", "line_pack.journal_id")
    .leftJoin("archive", "archive.id", "line_pack.archive_id")
    .select(["journal.uuid", "line_pack.journal_id", "line_pack.first_n", "line_pack.day"])
    .select(["line_pack.version", "line_pack.erased", "line_pack.archive_row"])
    .select(["archive.file", "archive.sha256", "archive.bytes"])
    .select(sql<number>`line_pack.samples + line_pack.events`.as("lines"))
    .select((from) => [
      (kind === "event" ? from.val(null) : from.ref("line_pack.sample_lines"))
        .$castTo<Buffer | null>()
        .as("sample_lines"),
      (kind === "sample" ? from.val(null) : from.ref("line_pack.event_lines"))
        .$castTo<Buffer | null>()
        .as("event_lines"),
    ])
    .where("line_pack.node_id", "=", filter.nodeId)
    .orderBy("line_pack.day", order)
    .orderBy("line_pack.journal_id", order)
    .orderBy("line_pack.first_n", order)
    .limit(limit);
  if (kind === "event") query = query.where("line_pack.events", ">", 0);
  if (kind === "sample") query = query.where("line_pack.samples", ">", 0);
  if (earliest !== undefined)
    query = query.where("line_pack.day", ">=", dayOf(earliest)).where("line_pack.to_at", ">=", earliest);
  if (latest !== undefined)
    query = query.where("line_pack.day", "<=", dayOf(latest)).where("line_pack.from_at", "<=", latest);
  if (after !== undefined) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(
        refTuple("line_pack.day", "line_pack.journal_id", "line_pack.first_n"),
        order === "asc" ? ">" : "<",
        tuple(after.day, after.journal_id, after.first_n),
      ),
    );
  }
  return query.execute();
}

function linesIn(pack: Pack, lines: readonly KnownLine[], filter: LineFilter): LineRow[] {
  const { order, after } = filter;
  const from = filter.from?.getTime() ?? Number.NEGATIVE_INFINITY;
  const to = filter.to?.getTime() ?? Number.POSITIVE_INFINITY;
  const rows: LineRow[] = [];
  for (const { n, at, kind, everyS, line } of lines) {
    if (filter.kind !== undefined && kind !== filter.kind) continue;
    if (at < from || at >= to) continue;
    if (after !== undefined) {
      const beyond = at - after.at.getTime() || pack.journal_id - after.journal || n - Number(after.n);
      if (order === "asc" ? beyond <= 0 : beyond >= 0) continue;
    }
    const { uuid, journal_id } = pack;
    rows.push({ uuid, journal_id, n: String(n), at: new Date(at), kind, every_s: everyS, line });
  }
  return rows;
}

function later(one: Date | undefined, other: Date | undefined): Date | undefined {
  return one === undefined || (other !== undefined && other > one) ? other : one;
}

function earlier(one: Date | undefined, other: Date | undefined): Date | undefined {
  return one === undefined || (other !== undefined && other < one) ? other : one;
}

function dayOf(at: Date) {
  return sql<string>`(${at}::timestamptz at time zone 'UTC')::date`;
}
