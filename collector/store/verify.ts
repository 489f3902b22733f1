import { type Selectable, sql } from "kysely";
import { ExplainedError } from "../../infra/problem.ts";
import { hashOf } from "../networks/redaction.ts";
import type { Database } from "./database.ts";
import { hashOfHeader, journalBeginning, linkLine } from "./links.ts";
import { linesOfPack, packBefore } from "./packing.ts";
import { faultsOfRollups } from "./rollups.ts";
import type { Tables } from "./schema.ts";

/** What a check of the evidence found. `faults` are sentences; none where all is as it was stored. */
export interface Verified {
  readonly readings: number;
  readonly erased: number;
  readonly facts: number;
  readonly lines: number;
  /** Lines of packs that were erased. */
  readonly erasedLines: number;
  readonly faults: readonly string[];
}

const batch = 500;
const packBatch = 50;

/**
 * Checks all evidence: that every chain of readings is whole and ends at its head, that bodies are what their headers
 * say, that every fact has its reading, and that the lines of every journal are those that were linked when they came,
 * and that hours and days are what a recount of the lines gives. All of it in one snapshot: a collector may be at work.
 */
export async function verifyEvidence(database: Database, say: (text: string) => void): Promise<Verified> {
  return database
    .transaction()
    .setIsolationLevel("repeatable read")
    .execute((snapshot) => verifySnapshot(snapshot, say));
}

async function verifySnapshot(database: Database, say: (text: string) => void): Promise<Verified> {
  const faults: string[] = [];
  let readings = 0;
  let erased = 0;
  let lines = 0;
  let erasedLines = 0;
  for (const chain of await database.selectFrom("chain").selectAll().orderBy("network").orderBy("account").execute()) {
    const name = `${chain.network}/${chain.account}`;
    let previous: string | null = null;
    let n = 0;
    for (;;) {
      const rows = await database
        .selectFrom("reading")
        .leftJoin("reading_body", "reading_body.reading_id", "reading.id")
        .selectAll("reading")
        .select(["reading_body.body", "reading_body.erased"])
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
        if (row.body === null && row.erased === null)
          faults.push(`Reading ${row.id} has no body, and none was erased.`);
        if (row.body !== null && (hashOf(row.body) !== row.sha256 || Buffer.byteLength(row.body) !== row.size))
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
    const checked = await verifyJournal(database, journal);
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
      faults.push(...(await faultsOfRollups(database, node)));
    } catch (error) {
      if (!isDamage(error)) throw error;
      faults.push(`${node.key}'s hours and days cannot be counted again, because a pack of its lines is damaged.`);
    }
  }
  return { readings, erased, facts: Number(count), lines, erasedLines, faults };
}

/** Follows the chain of a journal through its packs and then its rows. */
async function verifyJournal(
  database: Database,
  journal: { readonly id: number; readonly uuid: string; readonly packed_n: string; readonly chain: Buffer },
): Promise<{ lines: number; erased: number; faults: string[] }> {
  const faults: string[] = [];
  let chain: Buffer = journalBeginning(journal.uuid);
  let [lines, erased] = [0, 0];
  let last = "0";
  for (;;) {
    const packs = await database
      .selectFrom("line_pack")
      .selectAll()
      .where("journal_id", "=", journal.id)
      .where("first_n", ">", last)
      .orderBy("first_n")
      .limit(packBatch)
      .execute();
    for (const pack of packs) {
      const name = `The pack of lines ${pack.first_n} to ${pack.last_n} of journal ${journal.uuid}`;
      if (pack.erased === null) {
        const fault = faultOfPack(pack, chain);
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

/** Returns what is wrong with a pack whose lines follow `before`; null where nothing is. */
function faultOfPack(pack: Selectable<Tables["line_pack"]>, before: Buffer): string | null {
  let lines: ReturnType<typeof linesOfPack>;
  try {
    lines = linesOfPack(pack);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return "cannot be unpacked";
  }
  const chain = lines.reduce((link, { line }) => linkLine(link, line), before);
  if (!chain.equals(pack.chain)) return "does not hold the lines that were stored";
  const instants = lines.map(({ at }) => at);
  const says = [pack.first_n, pack.last_n, pack.samples, pack.events, pack.from_at.getTime(), pack.to_at.getTime()];
  const holds = [
    String(lines[0]?.n),
    String(lines.at(-1)?.n),
    lines.filter(({ kind }) => kind === "sample").length,
    lines.filter(({ kind }) => kind === "event").length,
    instants.reduce((one, other) => Math.min(one, other)),
    instants.reduce((one, other) => Math.max(one, other)),
  ];
  return says.every((value, index) => value === holds[index]) ? null : "says other things of its lines than they do";
}

/**
 * Erases the bodies of an account's readings that were finished before `before`, for good: headers, facts and chains
 * stay, and each body says when and why it went. `owner` is a connection of the schema's owner. Returns how many.
 */
export async function eraseBodies(
  owner: Database,
  account: { readonly network: string; readonly account: string },
  before: Date,
  erased: { readonly when: Date; readonly why: string },
): Promise<number> {
  const result = await owner
    .updateTable("reading_body")
    .set({ body: null, erased: JSON.stringify({ when: erased.when.toISOString(), why: erased.why }) })
    .from("reading")
    .whereRef("reading.id", "=", "reading_body.reading_id")
    .where("reading.network", "=", account.network)
    .where("reading.account", "=", account.account)
    .where("reading.finished_at", "<", before)
    .where("reading_body.erased", "is", null)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}

/**
 * Erases the lines of a node from days that ended before `day`, a UTC midnight, for good: chains, layers, hours and days
 * stay, and each pack says when and why its lines went. `owner` is a connection of the schema's owner. Returns how many
 * lines there were.
 */
export async function eraseLines(
  owner: Database,
  nodeId: number,
  day: Date,
  erased: { readonly when: Date; readonly why: string },
): Promise<number> {
  await packBefore(owner, nodeId, day);
  const packs = await owner
    .updateTable("line_pack")
    .set({
      sample_lines: null,
      event_lines: null,
      erased: JSON.stringify({ when: erased.when.toISOString(), why: erased.why }),
    })
    .where("node_id", "=", nodeId)
    .where("to_at", "<", day)
    .where("erased", "is", null)
    .returning(["samples", "events"])
    .execute();
  return packs.reduce((sum, { samples, events }) => sum + samples + events, 0);
}
