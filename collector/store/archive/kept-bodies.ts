import { sql } from "kysely";
import { hashOf } from "../../networks/redaction.ts";
import type { Database } from "../database.ts";
import type { ArchiveKind } from "./archiving.ts";
import { bodyColumns } from "./bodies.ts";

/** An answer, without its body. */
export interface KeptBody {
  readonly id: string;
  readonly network: string;
  readonly account: string;
  readonly source: string;
  readonly started_at: Date;
  readonly finished_at: Date;
  readonly http_status: number | null;
  readonly outcome: string;
  readonly sha256: string;
  readonly archive_row: number | null;
}

/** How bodies of answers go into archives. Their proof is their hash, which their header says. */
export const bodies: ArchiveKind<KeptBody> = {
  kind: "readings",
  columns: bodyColumns,
  async oldest(session, before) {
    // The earliest that came: answers are stored as they come.
    const { rows } = await sql<{ month: string | null }>`
      select date_trunc('month', finished_at, 'UTC')::date as month from (
        select finished_at from reading_body join reading on reading.id = reading_id
        where body is not null order by reading_id limit 1
      ) as oldest where finished_at < ${before}`.execute(session);
    return rows[0]?.month ?? null;
  },
  async inDatabase(session, month) {
    const inMonth = sql<boolean>`finished_at >= ${month}::timestamp at time zone 'UTC'
      and finished_at < (${month}::timestamp + interval '1 month') at time zone 'UTC'`;
    // Bodies are known by their readings' numbers, which grow with time.
    const ends = await session
      .selectFrom("reading")
      .select(({ fn }) => [fn.min("id").as("first"), fn.max("id").as("last")])
      .where(inMonth)
      .executeTakeFirstOrThrow();
    return headers(session)
      .where("reading_body.body", "is not", null)
      .where("reading_body.reading_id", ">=", ends.first)
      .where("reading_body.reading_id", "<=", ends.last)
      .where(inMonth)
      .execute();
  },
  inArchive: (session, archive) => headers(session).where("reading_body.archive_id", "=", archive).execute(),
  compare: (one, other) => Number(one.id) - Number(other.id),
  groupOf: () => "",
  async rowsOf(session, archives, from, { id, archive_row, started_at, finished_at, ...header }) {
    const told = {
      ...header,
      reading: Number(id),
      started_at: started_at.getTime(),
      finished_at: finished_at.getTime(),
    };
    if (archive_row !== null && from !== null) return [{ ...told, body: await archives.body(from, archive_row) }];
    const { body } = await session
      .selectFrom("reading_body")
      .select("body")
      .where("reading_id", "=", id)
      .executeTakeFirstOrThrow();
    return [{ ...told, body }];
  },
  async proofOf(archives, file, { id, sha256 }, place) {
    const proof = hashOf(await archives.body(file, place));
    if (proof !== sha256) throw new Error(`the body of reading ${id} does not come back from ${file.file}`);
    return proof;
  },
  async keep(transaction, archive, { sha256, bytes, rows }, units) {
    await sql`select archive_bodies(${archive}::integer, ${sha256}, ${bytes}::bigint, ${rows}::bigint,
      ${units.map(({ unit }) => unit.id)}::bigint[], ${units.map(({ place }) => place)}::integer[],
      ${units.map(({ proof }) => proof)}::text[])`.execute(transaction);
  },
};

function headers(session: Database) {
  return session
    .selectFrom("reading_body")
    .innerJoin("reading", "reading.id", "reading_body.reading_id")
    .select(["reading.id", "reading.network", "reading.account", "reading.source", "reading.started_at"])
    .select([
      "reading.finished_at",
      "reading.http_status",
      "reading.outcome",
      "reading.sha256",
      "reading_body.archive_row",
    ])
    .orderBy("reading.id");
}
