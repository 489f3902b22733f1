import { sql } from "kysely";
import { decodeLine, type JournalLine } from "../../cloud-init/agent/line.ts";
import { joinRollups, type Rollup, rollUp, rollupMs } from "../states/rollups.ts";
import type { Archives } from "./archive/archives.ts";
import type { Database, InTransaction } from "./database.ts";
import { instantText } from "./instant.ts";
import { lineTexts } from "./packs.ts";

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
  if (rollups.length === 0) return;
  // One parameter, whatever the number of rows.
  const rows = JSON.stringify(
    rollups.map((rollup) => ({ node_id: nodeId, ...columnsOf(rollup), at: instantText(rollup.at) })),
  );
  await sql`
    insert into ${sql.table(table)} select * from json_populate_recordset(null::${sql.table(table)}, ${rows})
    on conflict (node_id, at) do update set ${sql.raw(joined)}`.execute(transaction);
}

/** Makes the hours and days of a node anew from its lines. The caller holds the node's row. */
export async function rebuildRollups(transaction: InTransaction, nodeId: number): Promise<void> {
  const counted = await recount(transaction, nodeId, null);
  const kept = [...(await daysWithout(transaction, nodeId, null))].map((day) => new Date(day));
  for (const length of lengths) {
    await transaction
      .deleteFrom(rollupTables[length])
      .where("node_id", "=", nodeId)
      .where(sql<boolean>`date_trunc('day', at, 'UTC') <> all(${kept}::timestamptz[])`)
      .execute();
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

/**
 * Returns sentences for the hours and days of a node that are not what its lines say, archived ones too; none where all
 * are. @throws ArchiveUnreadable
 */
export async function faultsOfRollups(
  database: Database,
  node: { id: number; key: string },
  archives: Archives,
): Promise<string[]> {
  const counted = await recount(database, node.id, archives);
  const erased = await daysWithout(database, node.id, archives);
  const faults: string[] = [];
  for (const length of lengths) {
    const rows = await database
      .selectFrom(rollupTables[length])
      .selectAll()
      .where("node_id", "=", node.id)
      .orderBy("at")
      .execute();
    const countable = rows.filter(({ at }) => !erased.has(dayOf(at)));
    const stored = new Set(countable.map(({ node_id: _node, ...row }) => textOf(row)));
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

/**
 * Returns the hours and days that the lines of a node give, days left out of which lines are not there. The caller holds one
 * snapshot.
 */
async function recount(
  database: Database,
  nodeId: number,
  archives: Archives | null,
): Promise<Readonly<Record<RollupLength, Rollup[]>>> {
  const found = { hour: new Map<number, Rollup>(), day: new Map<number, Rollup>() };
  const erased = await daysWithout(database, nodeId, archives);
  for await (const texts of lineTexts(database, nodeId, archives)) {
    const lines = texts.flatMap((text) => {
      const decoded = decodeLine(text);
      return "line" in decoded ? [decoded.line] : [];
    });
    for (const length of lengths) {
      for (const one of rollUp(lines, rollupMs[length])) {
        if (erased.has(dayOf(one.at))) continue;
        const before = found[length].get(one.at.getTime());
        found[length].set(one.at.getTime(), before === undefined ? one : joinRollups(before, one));
      }
    }
  }
  return { hour: [...found.hour.values()], day: [...found.day.values()] };
}

/**
 * Returns the days (their beginnings in milliseconds) of which lines were erased, and without `archives` those of which
 * lines are archived: their sums cannot be counted again.
 */
async function daysWithout(
  database: Database,
  nodeId: number,
  archives: Archives | null,
): Promise<ReadonlySet<number>> {
  const rows = await database
    .selectFrom("line_pack")
    .select("from_at")
    .where("node_id", "=", nodeId)
    .where(({ eb, or }) =>
      or([eb("erased", "is not", null), ...(archives === null ? [eb("archive_id", "is not", null)] : [])]),
    )
    .execute();
  return new Set(rows.map(({ from_at }) => dayOf(from_at)));
}

function dayOf(at: Date): number {
  return Math.floor(at.getTime() / rollupMs.day) * rollupMs.day;
}

/** Returns the columns of a rollup's row, without that of its node. */
export function columnsOf(rollup: Rollup) {
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
