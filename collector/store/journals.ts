import { sql } from "kysely";
import type { JournalLine } from "../../cloud-init/agent/line.ts";
import type { SamplesHeader, SamplesItem } from "../../cloud-init/agent/samples.ts";
import { ExplainedError } from "../../infra/problem.ts";
import { identityChanged, watchedEvents } from "../alerts/rules.ts";
import { type FoldMemory, foldLines, type LineRules, type ToldIdentity } from "../states/lines.ts";
import { appendChanges } from "./changes.ts";
import type { Database, InTransaction } from "./database.ts";
import { instantText } from "./instant.ts";
import { applyLayerChanges } from "./layers.ts";
import { journalBeginning, linkLine } from "./links.ts";
import { forgetPartitions, preparePartitions } from "./partitions.ts";
import { addToRollups, rebuildRollups } from "./rollups.ts";

/** Where a node's journal was left off: `null` where nothing of it was ever stored. */
export interface JournalCursor {
  readonly journal: string;
  readonly n: number;
}

/** Returns the journal of the node's present machine that was read last and its last stored line. */
export async function journalCursor(database: Database, nodeId: number): Promise<JournalCursor | null> {
  const row = await database
    .selectFrom("journal")
    .innerJoin("incarnation", "incarnation.id", "journal.incarnation_id")
    .innerJoin("node", "node.id", "incarnation.node_id")
    .select(["journal.uuid", "journal.cursor"])
    .where("incarnation.node_id", "=", nodeId)
    .whereRef("incarnation.machine_id", "=", "node.machine_id")
    .orderBy("journal.id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : { journal: row.uuid, n: Number(row.cursor) };
}

/** One whole answer of `samples`, checked, of a machine of a node. */
export interface JournalPart {
  readonly nodeId: number;
  readonly machineId: string;
  readonly header: SamplesHeader;
  readonly items: readonly SamplesItem[];
}

/** What storing a part did: how many lines were new, and where the journal stands now. */
export interface StoredPart {
  readonly stored: number;
  readonly cursor: JournalCursor;
  readonly memory: FoldMemory | null;
}

const rowsPerInsert = 2_000;

/**
 * Stores the lines of a part that are not stored yet, moves the journal's cursor, and brings states, ties and gaps to
 * what they say: all in one transaction, so a crash leaves all of it or nothing. Lines are known by (journal, n): giving
 * the same part again stores nothing.
 * @throws ExplainedError when the journal belongs to another node, or the machine is none of this node's.
 */
export async function storeJournalPart(
  database: Database,
  part: JournalPart,
  rules: LineRules,
  now: Date,
): Promise<StoredPart> {
  const instants = part.items.flatMap((item) => (item.kind === "line" ? [new Date(item.line.at)] : []));
  await preparePartitions(database, instants);
  const store = (): Promise<StoredPart> =>
    database.transaction().execute((transaction) => storeInTransaction(transaction, part, rules, now));
  try {
    return await store();
  } catch (error) {
    if (!lacksPartition(error)) throw error;
    // It was empty, and another collector dropped it.
    forgetPartitions(database);
    await preparePartitions(database, instants);
    return store();
  }
}

function lacksPartition(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return code === "23514" && String(message).startsWith("no partition of relation");
}

async function storeInTransaction(
  transaction: InTransaction,
  part: JournalPart,
  rules: LineRules,
  now: Date,
): Promise<StoredPart> {
  const node = await transaction
    .selectFrom("node")
    .innerJoin("node_latest", "node_latest.node_id", "node.id")
    .select(["node.id", "node.key", "node.network", "node.gone_at", "node_latest.memory", "node_latest.rolled_up"])
    .where("node.id", "=", part.nodeId)
    .forUpdate()
    .executeTakeFirstOrThrow();
  const journal = await openJournal(transaction, part, node.key, now);
  const fresh = part.items.filter(({ n }) => n > journal.cursor);
  const { memory } = node;
  if (fresh.length === 0) {
    return { stored: 0, cursor: { journal: part.header.journal, n: journal.cursor }, memory };
  }
  await recordHoles(transaction, part, journal, fresh, now);
  const lines = fresh.flatMap((item) => (item.kind === "line" ? [item] : []));
  for (let index = 0; index < lines.length; index += rowsPerInsert) {
    await insertLines(transaction, journal.id, node.id, lines.slice(index, index + rowsPerInsert));
  }
  const cursor = fresh.at(-1)?.n ?? journal.cursor;
  const chain = lines.reduce((before, { text }) => linkLine(before, text), journal.chain);
  const newest = lines.at(-1)?.line.at;
  await transaction
    .updateTable("journal")
    .set({ cursor, chain, ...(newest === undefined ? {} : { last_at: new Date(newest) }) })
    .where("id", "=", journal.id)
    .execute();
  if (node.rolled_up) {
    await addToRollups(
      transaction,
      node.id,
      lines.map(({ line }) => line),
    );
  } else {
    await rebuildRollups(transaction, node.id);
  }
  const folded = foldLines(
    memory,
    lines.map(({ line }) => line),
    rules,
  );
  const oldest = lines[0]?.line.at;
  // A drained journal may come after a newer one of the same node: then it is history and nothing to go on from.
  const current = memory === null || folded.memory === null || folded.memory.at >= memory.at;
  await applyLayerChanges(transaction, node.id, folded.changes, oldest === undefined ? null : new Date(oldest));
  for (const { from, to } of folded.missing) {
    await addGap(transaction, node.id, "no-samples", from, to, "The node took no sample.");
  }
  await noteEvents(
    transaction,
    node.id,
    lines.map(({ line }) => line),
    now,
  );
  if (node.network !== null && node.gone_at === null) {
    await noteTies(transaction, node.id, journal.incarnationId, node.network, folded.identities, now);
  }
  if (current && folded.memory !== null) {
    const { latest } = folded;
    await transaction
      .updateTable("node_latest")
      .set({
        memory: JSON.stringify(folded.memory),
        ...(latest === null
          ? {}
          : { last_sample_at: latest.at, restarts: latest.restarts, pss_bytes: latest.pssBytes }),
      })
      .where("node_id", "=", node.id)
      .execute();
  }
  await appendChanges(transaction, now, [{ topic: "node", subject: node.key }]);
  return {
    stored: lines.length,
    cursor: { journal: part.header.journal, n: cursor },
    memory: current ? folded.memory : memory,
  };
}

/** One statement with a few parameters, whatever the number of lines: their texts travel as one, a line each. */
async function insertLines(
  transaction: InTransaction,
  journalId: number,
  nodeId: number,
  lines: readonly Extract<SamplesItem, { kind: "line" }>[],
): Promise<void> {
  const all = <Value>(of: (line: JournalLine) => Value): Value[] => lines.map(({ line }) => of(line));
  const numbers = (of: (line: JournalLine) => number): string => `{${all(of).join()}}`;
  await sql`
    insert into sample (journal_id, n, node_id, at, boot, mono_ms, kind, every_s, line)
    select ${journalId}::integer, n, ${nodeId}::integer, at, boot, mono_ms, kind, every_s, line::json
    from unnest(${numbers(({ n }) => n)}::bigint[], ${`{${all(({ at }) => `"${instantText(new Date(at))}"`).join()}}`}::timestamptz[],
      ${all(({ boot }) => boot)}::text[], ${numbers(({ mono_ms }) => mono_ms)}::float8[],
      ${`{${all(({ kind }) => kind).join()}}`}::text[], ${numbers(({ every_s }) => every_s)}::float8[],
      string_to_array(${lines.map(({ text }) => text).join("\n")}, E'\n'))
      as new (n, at, boot, mono_ms, kind, every_s, line)`.execute(transaction);
}

interface OpenJournal {
  readonly id: number;
  readonly incarnationId: number;
  readonly cursor: number;
  readonly chain: Buffer;
  readonly lastAt: Date | null;
}

async function openJournal(
  transaction: InTransaction,
  part: JournalPart,
  key: string,
  now: Date,
): Promise<OpenJournal> {
  const { journal: uuid } = part.header;
  const known = await transaction
    .selectFrom("journal")
    .innerJoin("incarnation", "incarnation.id", "journal.incarnation_id")
    .select([
      "journal.id",
      "journal.cursor",
      "journal.chain",
      "journal.last_at",
      "journal.incarnation_id",
      "incarnation.node_id",
    ])
    .where("journal.uuid", "=", uuid)
    .executeTakeFirst();
  if (known !== undefined) {
    if (known.node_id === part.nodeId) {
      const { id, incarnation_id: incarnationId, cursor, chain, last_at: lastAt } = known;
      return { id, incarnationId, cursor: Number(cursor), chain, lastAt };
    }
    throw new ExplainedError(
      "journal-of-another-node",
      `${key} answers with journal ${uuid}, which belongs to another node.`,
      "A node's folder or disk was copied: rebuild one of the two nodes.",
    );
  }
  const incarnation = await transaction
    .selectFrom("incarnation")
    .select("id")
    .where("node_id", "=", part.nodeId)
    .where("machine_id", "=", part.machineId)
    .executeTakeFirst();
  if (incarnation === undefined) {
    throw new ExplainedError(
      "unknown-machine",
      `The journal ${uuid} is of machine ${part.machineId}, which was never a machine of ${key}.`,
      "Look where the file comes from; it is left where it is.",
    );
  }
  await noteReplacement(transaction, part, incarnation.id, now);
  const chain = journalBeginning(uuid);
  const made = await transaction
    .insertInto("journal")
    .values({ uuid, incarnation_id: incarnation.id, cursor: 0, first_seen_at: now, chain })
    .returning("id")
    .executeTakeFirstOrThrow();
  return { id: made.id, incarnationId: incarnation.id, cursor: 0, chain, lastAt: null };
}

/** The same machine has begun another journal: what the old one held after its cursor was never read. */
async function noteReplacement(
  transaction: InTransaction,
  part: JournalPart,
  incarnationId: number,
  now: Date,
): Promise<void> {
  const previous = await transaction
    .selectFrom("journal")
    .select(["id", "uuid", "cursor", "last_at"])
    .where("incarnation_id", "=", incarnationId)
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  if (previous === undefined) return;
  const from = previous.last_at;
  const first = part.items.find((item) => item.kind === "line");
  const to = first?.kind === "line" ? new Date(first.line.at) : now;
  await transaction
    .insertInto("node_event")
    .values({
      node_id: part.nodeId,
      at: to,
      seen_at: now,
      name: "journal replaced",
      detail: JSON.stringify({ from: previous.uuid, cursor: Number(previous.cursor), to: part.header.journal }),
    })
    .execute();
  if (from !== null && from < to) {
    await addGap(transaction, part.nodeId, "journal-replaced", from, to, `Journal ${previous.uuid} was replaced.`);
  }
}

/** Lines that were rotated away before they were read, lost in a crash of the node or damaged on its disk are gaps. */
async function recordHoles(
  transaction: InTransaction,
  part: JournalPart,
  journal: OpenJournal,
  fresh: readonly SamplesItem[],
  now: Date,
): Promise<void> {
  let last = journal.cursor;
  let from = journal.lastAt;
  const timeAfter = (index: number): Date => {
    const next = fresh.slice(index).find((item) => item.kind === "line");
    return next?.kind === "line" ? new Date(next.line.at) : now;
  };
  for (const [index, item] of fresh.entries()) {
    const to = timeAfter(index);
    if (item.n > last + 1) {
      const rotated = index === 0 && part.header.first > last + 1;
      const which = `Lines ${last + 1} to ${item.n - 1} of journal ${part.header.journal}`;
      await addGap(
        transaction,
        part.nodeId,
        rotated ? "rotated" : "lost",
        from ?? to,
        to,
        rotated ? `${which} were rotated away before they were read.` : `${which} were lost on the node.`,
      );
    }
    if (item.kind === "damaged") {
      const reason = `Line ${item.n} of journal ${part.header.journal} is damaged: ${item.fault}.`;
      await addGap(transaction, part.nodeId, "damaged", from ?? to, to, reason);
    } else {
      from = new Date(item.line.at);
    }
    last = item.n;
  }
}

/**
 * Notes the events among `lines` that alerts look at, with the instant at which they were learnt of. Whether a node became
 * another one to its network is told by its ties: a machine whose disk was lost knows of no identity before.
 */
async function noteEvents(
  transaction: InTransaction,
  nodeId: number,
  lines: readonly JournalLine[],
  now: Date,
): Promise<void> {
  const events = lines.flatMap(({ j, n, at, event }) =>
    event !== undefined && event.name !== identityChanged && watchedEvents.includes(event.name)
      ? [
          {
            node_id: nodeId,
            at: new Date(at),
            seen_at: now,
            name: event.name,
            detail: JSON.stringify({ journal: j, n }),
          },
        ]
      : [],
  );
  if (events.length > 0) await transaction.insertInto("node_event").values(events).execute();
}

async function addGap(
  transaction: InTransaction,
  nodeId: number,
  kind: string,
  from: Date,
  to: Date,
  reason: string,
): Promise<void> {
  await transaction.insertInto("gap").values({ node_id: nodeId, kind, from_at: from, to_at: to, reason }).execute();
}

/**
 * Ties the node to its own id in the network from the instant its journal told it, until it tells another. Nearly every
 * sample tells the one that is known: only another is a statement.
 */
async function noteTies(
  transaction: InTransaction,
  nodeId: number,
  incarnationId: number,
  network: string,
  told: readonly ToldIdentity[],
  now: Date,
): Promise<void> {
  if (told.length === 0) return;
  let open = await transaction
    .selectFrom("network_node")
    .selectAll()
    .where("node_id", "=", nodeId)
    .where("to_at", "is", null)
    .executeTakeFirst();
  for (const { at, networkNodeId, journal, n } of told) {
    if (open !== undefined) {
      const same =
        open.network === network && open.network_node_id === networkNodeId && open.incarnation_id === incarnationId;
      if (same || at < open.from_at) continue;
      await transaction.updateTable("network_node").set({ to_at: at }).where("id", "=", open.id).execute();
      if (open.network === network && open.network_node_id !== networkNodeId) {
        const detail = JSON.stringify({ journal, n, from: open.network_node_id });
        await transaction
          .insertInto("node_event")
          .values({ node_id: nodeId, at, seen_at: now, name: identityChanged, detail })
          .execute();
      }
    }
    open = await transaction
      .insertInto("network_node")
      .values({
        node_id: nodeId,
        incarnation_id: incarnationId,
        network,
        network_node_id: networkNodeId,
        from_at: at,
        evidence: JSON.stringify({ kind: "line", journal, n }),
      })
      .returningAll()
      .executeTakeFirstOrThrow();
  }
}
