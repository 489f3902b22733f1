import { sql } from "kysely";
import { ExplainedError } from "../../infra/problem.ts";
import type { Database } from "./database.ts";
import { journalBeginning, linkLine } from "./links.ts";
import { packLines, packVersion, type StoredLine, unpackLines } from "./pack.ts";
import { forgetPartitions } from "./partitions.ts";

/** A line with its kind: which of the two parts of a pack it is in. */
export interface KnownLine extends StoredLine {
  readonly kind: "sample" | "event";
}

/** What packing did. */
export interface Packed {
  readonly packs: number;
  readonly lines: number;
}

const mostLines = 1_000;
const mostBytes = 4_000_000;
const dayMs = 86_400_000;
// A day without a line after it: more may come of a node that is away.
const graceMs = dayMs;

/**
 * Packs the lines of days that are closed, one pack at a time, each in a transaction of its own: what is done stays done,
 * whenever this ends. A day is closed when its journal has gone on to another, or a day after its end. Lines that come
 * for a packed day later make a pack of their own.
 */
export async function packClosedDays(database: Database, now: Date, signal: AbortSignal): Promise<Packed> {
  let [packs, lines] = [0, 0];
  const journals = await database
    .selectFrom("journal")
    .select("id")
    .whereRef("packed_n", "<", "cursor")
    .orderBy("id")
    .execute();
  for (const { id } of journals) {
    while (!signal.aborted) {
      const packed = await packNext(
        database,
        id,
        (day, lastDay) => day !== lastDay || day + dayMs + graceMs <= now.getTime(),
      );
      if (packed === 0) break;
      packs++;
      lines += packed;
    }
  }
  return { packs, lines };
}

/** Packs the lines of a node that are of days before `day`, and what lies before these in their journals. */
export async function packBefore(database: Database, nodeId: number, day: Date): Promise<Packed> {
  let [packs, lines] = [0, 0];
  for (;;) {
    const open = await database
      .selectFrom("sample")
      .select("journal_id")
      .where("node_id", "=", nodeId)
      .where("at", "<", day)
      .orderBy("at")
      .limit(1)
      .executeTakeFirst();
    if (open === undefined) return { packs, lines };
    lines += await packNext(database, open.journal_id, () => true);
    packs++;
  }
}

/**
 * Drops the partitions of months before that of `now` that hold no line any more: deleted rows would leave their space
 * with it, and a late line makes it again. Returns how many went.
 */
export async function dropEmptyPartitions(database: Database, now: Date): Promise<number> {
  const before = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)).toISOString().slice(0, 10);
  const { rows } = await sql<{ dropped: number }>`select drop_empty_partitions(${before}::date) as dropped`.execute(
    database,
  );
  forgetPartitions(database);
  return rows[0]?.dropped ?? 0;
}

/**
 * Packs the first lines of a journal that are not packed, as far as they are of one day, where `closed` says so of that
 * day and the day of the journal's last line. Returns how many lines there were; 0 when there was nothing to do.
 */
async function packNext(
  database: Database,
  journalId: number,
  closed: (day: number, lastDay: number) => boolean,
): Promise<number> {
  const open = await openLines(database, journalId, closed);
  if (open === null) return 0;
  const { journal, day, rows } = open;
  const lines = firstOfOneDay(
    rows.map((row) => ({
      n: Number(row.n),
      at: row.at.getTime(),
      boot: row.boot,
      monoMs: row.mono_ms,
      kind: row.kind,
      everyS: row.every_s,
      line: row.line,
    })),
    day,
  );
  const [first, last] = [lines[0], lines.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const samples = packOf(lines, "sample");
  const events = packOf(lines, "event");
  const back = linesOfPack({ version: packVersion, sample_lines: samples, event_lines: events });
  if (back.length !== lines.length || !back.every((line, index) => isSame(line, lines[index]))) {
    throw new Error(`lines ${first.n} to ${last.n} of journal ${journal.uuid} do not come back from their pack`);
  }
  const before = journal.chain ?? journalBeginning(journal.uuid);
  const proof = back.reduce((chain, { line }) => linkLine(chain, line), before);
  const { rows: done } = await sql<{ packed: boolean }>`
    select pack_lines(${journalId}::integer, ${first.n}::bigint, ${last.n}::bigint,
      (${new Date(day)}::timestamptz at time zone 'UTC')::date, ${packVersion}::smallint, ${samples}::bytea,
      ${events}::bytea, ${proof}::bytea) as packed`.execute(database);
  // Another collector was at it too, and is through: what follows is looked at.
  return done[0]?.packed === true ? lines.length : packNext(database, journalId, closed);
}

/**
 * Returns what a journal's next pack is made of, all as of one instant: others pack meanwhile, and lines that follow one
 * pack do not follow the chain of the pack before it. `day` is that of the first line that is not packed, and `rows` are
 * as many lines from it on as one pack takes. Returns null where there is none, or `closed` does not say so of its day.
 */
function openLines(database: Database, journalId: number, closed: (day: number, lastDay: number) => boolean) {
  return database
    .transaction()
    .setIsolationLevel("repeatable read")
    .setAccessMode("read only")
    .execute(async (snapshot) => {
      const journal = await snapshot
        .selectFrom("journal")
        .select(["journal.uuid", "journal.packed_n", "journal.last_at"])
        .select((from) =>
          from
            .selectFrom("line_pack")
            .select("line_pack.chain")
            .whereRef("line_pack.journal_id", "=", "journal.id")
            .orderBy("line_pack.first_n", "desc")
            .limit(1)
            .as("chain"),
        )
        .where("journal.id", "=", journalId)
        .executeTakeFirstOrThrow();
      const loose = snapshot
        .selectFrom("sample")
        .where("journal_id", "=", journalId)
        .where("n", ">", journal.packed_n)
        .orderBy("n");
      const oldest = await loose.select("at").limit(1).executeTakeFirst();
      if (oldest === undefined) return null;
      const day = dayOf(oldest.at.getTime());
      if (!closed(day, dayOf((journal.last_at ?? oldest.at).getTime()))) return null;
      const rows = await loose
        .select(["n", "at", "boot", "mono_ms", "kind", "every_s"])
        .select(sql<string>`line::text`.as("line"))
        .limit(mostLines)
        .execute();
      return { journal, day, rows };
    });
}

/**
 * Returns the lines of a pack that is not erased, in the order of their numbers.
 * @throws ExplainedError `pack-damaged` where it cannot be unpacked, or is of a version that this release does not know.
 */
export function linesOfPack(pack: {
  readonly version: number;
  readonly sample_lines: Uint8Array | null;
  readonly event_lines: Uint8Array | null;
}): KnownLine[] {
  const part = (bytes: Uint8Array | null, kind: KnownLine["kind"]): KnownLine[] =>
    bytes === null ? [] : unpackLines(bytes).map((line) => ({ ...line, kind }));
  try {
    if (pack.version !== packVersion) throw new Error(`this release does not know version ${pack.version} of packs`);
    const events = part(pack.event_lines, "event");
    const samples = part(pack.sample_lines, "sample");
    return events.length === 0 ? samples : [...samples, ...events].toSorted((one, other) => one.n - other.n);
  } catch (error) {
    throw new ExplainedError(
      "pack-damaged",
      `A pack of lines cannot be unpacked: ${error instanceof Error ? error.message : String(error)}`,
      "Run npm run verify, which names every pack that is damaged, and restore the database from a backup.",
      { cause: error },
    );
  }
}

function packOf(lines: readonly KnownLine[], kind: KnownLine["kind"]): Buffer | null {
  const own = lines.filter((line) => line.kind === kind);
  return own.length === 0 ? null : packLines(own);
}

/** Returns the lines up to the first of another day than `day`, or as many as one pack takes. */
function firstOfOneDay(lines: readonly KnownLine[], day: number): readonly KnownLine[] {
  let bytes = 0;
  const end = lines.findIndex(({ at, line }, index) => {
    bytes += line.length;
    return dayOf(at) !== day || (index > 0 && bytes > mostBytes);
  });
  return end === -1 ? lines : lines.slice(0, end);
}

function isSame(one: KnownLine, other: KnownLine | undefined): boolean {
  return (
    other !== undefined &&
    one.n === other.n &&
    one.at === other.at &&
    one.kind === other.kind &&
    one.boot === other.boot &&
    Object.is(one.monoMs, other.monoMs) &&
    Object.is(one.everyS, other.everyS) &&
    one.line === other.line
  );
}

/** Returns the beginning of the UTC day of an instant; both in milliseconds. */
function dayOf(at: number): number {
  return Math.floor(at / dayMs) * dayMs;
}
