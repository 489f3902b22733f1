import type { Adapter, ParsedFact } from "../networks/adapter.ts";
import type { Archives } from "./archive/archives.ts";
import type { Database } from "./database.ts";
import { archiveOf } from "./packs.ts";
import { storeFacts } from "./readings.ts";

/** A stored answer with what the newest parser so far found in it. */
export interface StoredReading {
  readonly id: string;
  readonly account: string;
  readonly call: string;
  readonly body: string;
  readonly finishedAt: Date;
  /** The parser that found them, null where none found anything. */
  readonly parser: string | null;
  readonly facts: readonly ParsedFact[];
}

/**
 * Returns up to `limit` answers of a network that began at `since` or later and come after the reading `after`, in the
 * order in which they came: those whose bodies were not erased and are worth parsing. @throws ArchiveUnreadable
 */
export async function storedReadings(
  database: Database,
  network: string,
  since: Date,
  after: string,
  limit: number,
  archives: Archives,
): Promise<readonly StoredReading[]> {
  const rows = await database
    .selectFrom("reading")
    .innerJoin("reading_body", "reading_body.reading_id", "reading.id")
    .leftJoin("archive", "archive.id", "reading_body.archive_id")
    .select(["reading.id", "reading.account", "reading.source", "reading.finished_at", "reading_body.body"])
    .select(["reading_body.archive_row", "archive.file", "archive.sha256", "archive.bytes"])
    .where("reading.network", "=", network)
    .where("reading.started_at", ">=", since)
    .where("reading.id", ">", after)
    .where("reading.outcome", "in", ["ok", "shape"])
    .where("reading_body.erased", "is", null)
    .where("reading.size", ">", 0)
    .orderBy("reading.id")
    .limit(limit)
    .execute();
  if (rows.length === 0) return [];
  const facts = await database
    .selectFrom("fact")
    .select(["id", "reading_id", "network_node_id", "metric", "value", "text", "day", "derived", "parser"])
    .where(
      "reading_id",
      "in",
      rows.map(({ id }) => id),
    )
    .orderBy("id", "desc")
    .execute();
  const newest = new Map<string, { readonly parser: string; readonly facts: ParsedFact[] }>();
  for (const { reading_id, network_node_id, metric, value, text, day, derived, parser } of facts) {
    const known = newest.get(reading_id) ?? { parser, facts: [] };
    newest.set(reading_id, known);
    if (known.parser !== parser) continue;
    const units = value === null ? null : BigInt(value);
    known.facts.push({ metric, networkNodeId: network_node_id, value: units, text, day, derived });
  }
  const readings: StoredReading[] = [];
  for (const { id, account, source, finished_at, body, archive_row, file, sha256, bytes } of rows) {
    readings.push({
      id,
      account,
      call: source,
      body: file === null ? (body ?? "") : await archives.body(archiveOf({ file, sha256, bytes }), archive_row ?? 0),
      finishedAt: finished_at,
      parser: newest.get(id)?.parser ?? null,
      facts: newest.get(id)?.facts.toReversed() ?? [],
    });
  }
  return readings;
}

/** Adds what this adapter's parser finds in the readings, beside what older ones found, in one transaction. */
export async function storeReparsed(
  database: Database,
  adapter: Adapter,
  readings: readonly { readonly reading: StoredReading; readonly facts: readonly ParsedFact[] }[],
): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    for (const { reading, facts } of readings) {
      const key = { network: adapter.network, account: reading.account };
      await storeFacts(transaction, key, adapter, reading.id, facts, reading.finishedAt);
    }
  });
}
