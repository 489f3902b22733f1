import { sql } from "kysely";
import { ExplainedError } from "../../infra/problem.ts";
import { hashOf } from "../networks/redaction.ts";
import { type Archives, ArchiveUnreadable, openArchives } from "./archive/archives.ts";
import { keptArchives } from "./archive/archiving.ts";
import type { Database } from "./database.ts";
import { hashOfHeader, journalBeginning, linkLine } from "./links.ts";
import { faultOfLines } from "./pack-fault.ts";
import { archiveOf, linesOf } from "./packs.ts";
import { faultsOfRollups } from "./rollups.ts";

/** What a check of the evidence found. `faults` are sentences; none where all is as it was stored. */
export interface Verified {
  readonly readings: number;
  readonly erased: number;
  readonly facts: number;
  readonly lines: number;
  /** Lines of packs that were erased. */
  readonly erasedLines: number;
  /** Files of archives, which hold some of these lines and bodies of these readings. */
  readonly archives: number;
  readonly faults: readonly string[];
}

const batch = 500;
const packBatch = 50;

/**
 * Checks all evidence: that every chain of readings is whole and ends at its head, that bodies are what their headers
 * say, that every fact has its reading, and that the lines of every journal are those that were linked when they came,
 * and that hours and days are what a recount of the lines gives, in the database and in `archives` as one. All of it in
 * one snapshot: a collector may be at work.
 */
export async function verifyEvidence(
  database: Database,
  say: (text: string) => void,
  archives: Archives = openArchives(""),
): Promise<Verified> {
  return database
    .transaction()
    .setIsolationLevel("repeatable read")
    .execute((snapshot) => verifySnapshot(snapshot, archives, say));
}

async function verifySnapshot(database: Database, archives: Archives, say: (text: string) => void): Promise<Verified> {
  const faults: string[] = [];
  let readings = 0;
  let erased = 0;
  let lines = 0;
  let erasedLines = 0;
  const kept = await keptArchives(database);
  for (const archive of kept) {
    say(`archive ${archive.file}`);
    const fault = await faultIn(() => archives.check(archive));
    if (fault !== null) faults.push(fault);
  }
  for (const chain of await database.selectFrom("chain").selectAll().orderBy("network").orderBy("account").execute()) {
    const name = `${chain.network}/${chain.account}`;
    let previous: string | null = null;
    let n = 0;
    for (;;) {
      const rows = await database
        .selectFrom("reading")
        .leftJoin("reading_body", "reading_body.reading_id", "reading.id")
        .leftJoin("archive", "archive.id", "reading_body.archive_id")
        .selectAll("reading")
        .select(["reading_body.body", "reading_body.erased", "reading_body.archive_row"])
        .select(["archive.file", "archive.sha256 as file_sha256", "archive.bytes"])
        .where("network", "=", chain.network)
        .where("account", "=", chain.account)
        .where("n", ">", String(n))
        .orderBy("n")
        .limit(batch)
        .execute();
      for (const row of rows) {
        n++;
        if (row.n !== String(n)) faults.push(`The chain of ${name} has no reading ${n}: the next is ${row.n}.`);
        if (row.previous !== previous) faults.push(`Reading ${row.id} does not follow the one before it in ${name}.`);
        if (hashOfHeader(row) !== row.hash) faults.push(`The header of reading ${row.id} was changed.`);
        if (row.body === null && row.erased === null && row.file === null)
          faults.push(`Reading ${row.id} has no body, and none was erased.`);
        const { file, file_sha256: sha256, bytes } = row;
        const archive = file === null ? null : archiveOf({ file, sha256, bytes });
        let { body } = row;
        // A file that cannot be read is one fault.
        if (archive !== null && (await faultIn(() => archives.check(archive))) === null)
          body = await archives.body(archive, row.archive_row ?? 0);
        if (body !== null && (hashOf(body) !== row.sha256 || Buffer.byteLength(body) !== row.size))
          faults.push(`The body of reading ${row.id} was changed.`);
        if (row.erased !== null) erased++;
        n = Number(row.n);
        previous = row.hash;
      }
      readings += rows.length;
      if (rows.length > 0) say(`${name}: ${n} readings`);
      if (rows.length < batch) break;
    }
    if (chain.n !== String(n) || chain.head !== previous)
      faults.push(`The chain of ${name} ends at ${n}, and its head says ${chain.n}.`);
  }
  const facts = await sql<{ count: string; loose: string }>`
    select count(*) as count, count(*) filter (where reading.id is null
      or (fact.network, fact.account) is distinct from (reading.network, reading.account)) as loose
    from fact left join reading on reading.id = fact.reading_id`.execute(database);
  const { count = "0", loose = "0" } = facts.rows[0] ?? {};
  if (loose !== "0") faults.push(`${loose} facts are not of the reading they name.`);
  for (const journal of await database.selectFrom("journal").selectAll().orderBy("id").execute()) {
    const checked = await verifyJournal(database, archives, journal);
    lines += checked.lines;
    erasedLines += checked.erased;
    faults.push(...checked.faults);
    say(`journal ${journal.uuid}: ${checked.lines + checked.erased} lines`);
  }
  const nodes = await database
    .selectFrom("node")
    .innerJoin("node_latest", "node_latest.node_id", "node.id")
    .select(["node.id", "node.key"])
    .where("node_latest.rolled_up", "=", true)
    .orderBy("node.id")
    .execute();
  for (const node of nodes) {
    say(`${node.key}: hours and days`);
    try {
      faults.push(...(await faultsOfRollups(database, node, archives)));
    } catch (error) {
      const why = error instanceof ArchiveUnreadable ? `the archive ${error.file} cannot be read` : null;
      if (why === null && !isDamage(error)) throw error;
      faults.push(
        `${node.key}'s hours and days cannot be counted again, because ${why ?? "a pack of its lines is damaged"}.`,
      );
    }
  }
  return { readings, erased, facts: Number(count), lines, erasedLines, archives: kept.length, faults };
}

/** Follows the chain of a journal through its packs and then its rows. */
async function verifyJournal(
  database: Database,
  archives: Archives,
  journal: { readonly id: number; readonly uuid: string; readonly packed_n: string; readonly chain: Buffer },
): Promise<{ lines: number; erased: number; faults: string[] }> {
  const faults: string[] = [];
  let chain: Buffer = journalBeginning(journal.uuid);
  let [lines, erased] = [0, 0];
  let last = "0";
  for (;;) {
    const packs = await database
      .selectFrom("line_pack")
      .leftJoin("archive", "archive.id", "line_pack.archive_id")
      .selectAll("line_pack")
      .select(["archive.file", "archive.sha256", "archive.bytes"])
      .select(sql<number>`samples + events`.as("lines"))
      .where("journal_id", "=", journal.id)
      .where("first_n", ">", last)
      .orderBy("first_n")
      .limit(packBatch)
      .execute();
    for (const pack of packs) {
      const name = `The pack of lines ${pack.first_n} to ${pack.last_n} of journal ${journal.uuid}`;
      if (pack.erased === null) {
        const fault = await faultOfPack(pack, archives, chain);
        if (fault !== null) faults.push(`${name} ${fault}.`);
        lines += pack.samples + pack.events;
      } else {
        erased += pack.samples + pack.events;
      }
      chain = pack.chain;
      last = pack.last_n;
    }
    if (packs.length < packBatch) break;
  }
  if (last !== journal.packed_n)
    faults.push(`The packs of journal ${journal.uuid} end at line ${last}, and it says ${journal.packed_n}.`);
  for (;;) {
    const rows = await database
      .selectFrom("sample")
      .select("n")
      .select(sql<string>`line::text`.as("line"))
      .where("journal_id", "=", journal.id)
      .where("n", ">", last)
      .orderBy("n")
      .limit(batch)
      .execute();
    for (const row of rows) chain = linkLine(chain, row.line);
    lines += rows.length;
    last = rows.at(-1)?.n ?? last;
    if (rows.length < batch) break;
  }
  if (!journal.chain.equals(chain)) faults.push(`The lines of journal ${journal.uuid} are not those that were stored.`);
  return { lines, erased, faults };
}

function isDamage(error: unknown): boolean {
  return error instanceof ExplainedError && error.code === "pack-damaged";
}

/** Returns what is wrong with a pack whose lines follow `before`; null where nothing is, or its archive cannot be read. */
async function faultOfPack(
  pack: Parameters<typeof linesOf>[0] & Parameters<typeof faultOfLines>[0],
  archives: Archives,
  before: Buffer,
): Promise<string | null> {
  try {
    return faultOfLines(pack, await linesOf(pack, archives), before).fault;
  } catch (error) {
    // That is one fault, told of the file.
    if (error instanceof ArchiveUnreadable) return null;
    if (!isDamage(error)) throw error;
    return "cannot be unpacked";
  }
}

/** Returns the sentence of an archive that cannot be read, or null. */
async function faultIn(check: () => Promise<void>): Promise<string | null> {
  try {
    await check();
    return null;
  } catch (error) {
    if (error instanceof ArchiveUnreadable) return error.message;
    throw error;
  }
}
