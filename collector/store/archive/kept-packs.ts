import { sql } from "kysely";
import type { Database } from "../database.ts";
import { journalBeginning } from "../links.ts";
import { faultOfLines } from "../pack-fault.ts";
import { linesOfPack } from "../packing.ts";
import type { ArchiveKind } from "./archiving.ts";
import { lineColumns, rowOf } from "./lines.ts";

/** A pack, without its lines. */
export interface KeptPack {
  readonly journal_id: number;
  readonly first_n: string;
  readonly last_n: string;
  readonly node_id: number;
  readonly node: string;
  readonly group: string;
  readonly slot: number;
  readonly journal: string;
  readonly samples: number;
  readonly events: number;
  readonly from_at: Date;
  readonly to_at: Date;
  readonly chain: Buffer;
  /** The chain after the pack before it; null of a journal's first. */
  readonly before: Buffer | null;
  readonly archive_row: number | null;
}

/** How packs of lines go into archives. Their proof is the chain after their last line. */
export const packs: ArchiveKind<KeptPack> = {
  kind: "lines",
  columns: lineColumns,
  async oldest(session, before) {
    const { rows } = await sql<{ month: string | null }>`
      select date_trunc('month', min(day))::date as month from line_pack
      where archive_id is null and erased is null and day < ${before.toISOString().slice(0, 10)}::date`.execute(
      session,
    );
    return rows[0]?.month ?? null;
  },
  inDatabase: (session, month) =>
    headers(session)
      .where("line_pack.archive_id", "is", null)
      .where("line_pack.erased", "is", null)
      .where("line_pack.day", ">=", month)
      .where(sql<boolean>`line_pack.day < ${month}::date + interval '1 month'`)
      .execute(),
  inArchive: (session, archive) => headers(session).where("line_pack.archive_id", "=", archive).execute(),
  compare: (one, other) =>
    one.node_id - other.node_id || one.journal_id - other.journal_id || Number(one.first_n) - Number(other.first_n),
  groupOf: (pack) => pack.node,
  async rowsOf(session, archives, from, pack) {
    if (pack.archive_row !== null && from !== null) {
      const lines = await archives.lines(from, pack.archive_row, pack.samples + pack.events);
      return lines.map((line) => rowOf(pack, line));
    }
    const whole = await session
      .selectFrom("line_pack")
      .select(["version", "sample_lines", "event_lines"])
      .where("journal_id", "=", pack.journal_id)
      .where("first_n", "=", pack.first_n)
      .executeTakeFirstOrThrow();
    return linesOfPack(whole).map((line) => rowOf(pack, line));
  },
  async proofOf(archives, file, pack, place) {
    const lines = await archives.lines(file, place, pack.samples + pack.events);
    const { chain, fault } = faultOfLines(pack, lines, pack.before ?? journalBeginning(pack.journal));
    if (fault !== null) {
      throw new Error(
        `lines ${pack.first_n} to ${pack.last_n} of journal ${pack.journal} do not come back from ${file.file}`,
      );
    }
    return chain;
  },
  async keep(transaction, archive, { sha256, bytes, rows }, units) {
    await sql`select archive_packs(${archive}::integer, ${sha256}, ${bytes}::bigint, ${rows}::bigint,
      ${units.map(({ unit }) => unit.journal_id)}::integer[], ${units.map(({ unit }) => unit.first_n)}::bigint[],
      ${units.map(({ place }) => place)}::integer[], ${units.map(({ proof }) => proof)}::bytea[])`.execute(transaction);
  },
};

function headers(session: Database) {
  return session
    .selectFrom("line_pack")
    .innerJoin("journal", "journal.id", "line_pack.journal_id")
    .innerJoin("node", "node.id", "line_pack.node_id")
    .select(["line_pack.journal_id", "line_pack.first_n", "line_pack.last_n", "line_pack.node_id"])
    .select(["line_pack.samples", "line_pack.events", "line_pack.from_at", "line_pack.to_at", "line_pack.chain"])
    .select([
      "line_pack.archive_row",
      "journal.uuid as journal",
      "node.key as node",
      "node.node_group as group",
      "node.slot",
    ])
    .select((from) =>
      from
        .selectFrom("line_pack as earlier")
        .select("earlier.chain")
        .whereRef("earlier.journal_id", "=", "line_pack.journal_id")
        .whereRef("earlier.first_n", "<", "line_pack.first_n")
        .orderBy("earlier.first_n", "desc")
        .limit(1)
        .as("before"),
    )
    .orderBy("line_pack.node_id")
    .orderBy("line_pack.journal_id")
    .orderBy("line_pack.first_n");
}
