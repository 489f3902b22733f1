import { sql } from "kysely";
import { decodeLine, type JournalLine } from "../../cloud-init/agent/line.ts";
import { joinRollups, type Rollup, rollUp, rollupMs } from "../states/rollups.ts";
import type { Database, InTransaction } from "./database.ts";

/** The tables of rollups; a row of each stands for one stretch. */
export const rollupTables = { hour: "node_hour", day: "node_day" } as const;

/** The length of the stretches that rollups are kept of. */
export type RollupLength = keyof typeof rollupTables;

const lengths = ["hour", "day"] as const;

const sums = [
  "samples",
  "events",
  "covered_ms",
  "runtime_up",
  "runtime_told",
  "app_up",
  "app_told",
  "pss_count",
  "pss_sum",
];
const mosts = ["restarts_max", "pss_max"];
const leasts = ["memory_available_min", "disk_free_min"];

/** Adds lines that were just stored to the hours and days of their node. The caller holds the node's row. */
export async function addToRollups(
  transaction: InTransaction,
  nodeId: number,
  lines: readonly JournalLine[],
): Promise<void> {
  for (const length of lengths) await addRows(transaction, length, nodeId, rollUp(lines, rollupMs[length]));
}

async function addRows(
  transaction: InTransaction,
  length: RollupLength,
  nodeId: number,
  rollups: readonly Rollup[],
): Promise<void> {
  const table = rollupTables[length];
  const joined = [
    ...sums.map((name) => `${name} = ${table}.${name} + excluded.${name}`),
    // Both leave a null out where the other is none.
    ...mosts.map((name) => `${name} = greatest(${table}.${name}, excluded.${name})`),
    ...leasts.map((name) => `${name} = least(${table}.${name}, excluded.${name})`),
  ].join(", ");
  for (let index = 0; index < rollups.length; index += 1_000) {
    const rows = rollups.slice(index, index + 1_000).map((rollup) => ({ node_id: nodeId, ...columnsOf(rollup) }));
    const insert = transaction.insertInto(table).values(rows);
    await insert.modifyEnd(sql.raw(`on conflict (node_id, at) do update set ${joined}`)).execute();
  }
}

/** Makes the hours and days of a node anew from its lines. The caller holds the node's row. */
export async function rebuildRollups(transaction: InTransaction, nodeId: number): Promise<void> {
  const counted = await recount(transaction, nodeId);
  for (const length of lengths) {
    await transaction.deleteFrom(rollupTables[length]).where("node_id", "=", nodeId).execute();
    await addRows(transaction, length, nodeId, counted[length]);
  }
  await transaction.updateTable("node_latest").set({ rolled_up: true }).where("node_id", "=", nodeId).execute();
}

/** Makes the rollups of a node whose lines are older than the rollups are. Returns whether there was one. */
export async function rebuildOne(database: Database): Promise<boolean> {
  return database.transaction().execute(async (transaction) => {
    const node = await transaction
      .selectFrom("node")
      .innerJoin("node_latest", "node_latest.node_id", "node.id")
      .select("node.id")
      .where("node_latest.rolled_up", "=", false)
      .orderBy("node.id")
      .limit(1)
      .forUpdate("node")
      .skipLocked()
      .executeTakeFirst();
    if (node === undefined) return false;
    await rebuildRollups(transaction, node.id);
    return true;
  });
}

/** Returns sentences for the hours and days of a node that are not what its lines say; none where all are. */
export async function faultsOfRollups(database: Database, node: { id: number; key: string }): Promise<string[]> {
  const counted = await recount(database, node.id);
  const faults: string[] = [];
  for (const length of lengths) {
    const rows = await database
      .selectFrom(rollupTables[length])
      .selectAll()
      .where("node_id", "=", node.id)
      .orderBy("at")
      .execute();
    const stored = new Set(rows.map(({ node_id: _node, ...row }) => textOf(row)));
    const due = new Set(counted[length].map((rollup) => textOf(columnsOf(rollup))));
    const wrong = [...stored].filter((row) => !due.has(row)).length + [...due].filter((row) => !stored.has(row)).length;
    if (wrong > 0) faults.push(`${wrong} rows of ${node.key}'s ${length}s are not what its lines say.`);
  }
  return faults;
}

/** Returns a row as text that does not hang on the order of its columns. */
function textOf(row: Readonly<Record<string, Date | string | number | null>>): string {
  const fields = Object.entries(row).map(
    ([name, value]) => `${name}=${value instanceof Date ? value.getTime() : value}`,
  );
  return fields.toSorted().join(" ");
}

const linesPerRead = 5_000;

async function recount(database: Database, nodeId: number): Promise<Readonly<Record<RollupLength, Rollup[]>>> {
  const found = { hour: new Map<number, Rollup>(), day: new Map<number, Rollup>() };
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
    const lines = rows.flatMap(({ line }) => {
      const decoded = decodeLine(line);
      return "line" in decoded ? [decoded.line] : [];
    });
    for (const length of lengths) {
      for (const one of rollUp(lines, rollupMs[length])) {
        const before = found[length].get(one.at.getTime());
        found[length].set(one.at.getTime(), before === undefined ? one : joinRollups(before, one));
      }
    }
    after = rows.at(-1);
    if (rows.length < linesPerRead) break;
  }
  return { hour: [...found.hour.values()], day: [...found.day.values()] };
}

function columnsOf(rollup: Rollup) {
  const text = (value: number | null): string | null => (value === null ? null : String(value));
  return {
    at: rollup.at,
    samples: rollup.samples,
    events: rollup.events,
    covered_ms: rollup.coveredMs,
    runtime_up: rollup.runtimeUp,
    runtime_told: rollup.runtimeTold,
    app_up: rollup.appUp,
    app_told: rollup.appTold,
    restarts_max: text(rollup.restartsMax),
    pss_count: rollup.pssCount,
    pss_sum: rollup.pssSum.toString(),
    pss_max: text(rollup.pssMax),
    memory_available_min: text(rollup.memoryAvailableMin),
    disk_free_min: text(rollup.diskFreeMin),
  };
}
