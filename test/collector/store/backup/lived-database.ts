import { createHash } from "node:crypto";
import { sql } from "kysely";
import pg from "pg";
import { type RuleName, ruleNames } from "../../../../collector/alerts/rules.ts";
import { practice } from "../../../../collector/networks/practice/adapter.ts";
import { beginUnread, endUnread } from "../../../../collector/store/absence.ts";
import {
  announceAlerts,
  openAlerts,
  saveSettlement,
  saveTelling,
  watchAlone,
} from "../../../../collector/store/alerts.ts";
import { connectAsOwner, type Database } from "../../../../collector/store/database.ts";
import { eraseBodies, eraseLines } from "../../../../collector/store/erase.ts";
import { acceptInventory } from "../../../../collector/store/inventory.ts";
import { storeJournalPart } from "../../../../collector/store/journals.ts";
import { dropEmptyPartitions, packClosedDays } from "../../../../collector/store/packing.ts";
import { preparePartitionsAhead } from "../../../../collector/store/partitions.ts";
import { knowAccount, storeAnswers } from "../../../../collector/store/readings.ts";
import { daemonRole } from "../../../../collector/store/role.ts";
import { claimRuns, finishRun, planRuns, putJob } from "../../../../collector/store/runs.ts";
import { nodeIdOf } from "../../../../collector/store/views.ts";
import { type LivedLine, nodeLife, randomFrom } from "../../../harness/node-life.ts";
import { noArchives } from "../../database.ts";
import { inventoryFile, nodeRecord } from "../../inventory.ts";

const dayMs = 86_400_000;
const start = Date.UTC(2027, 0, 30, 18);
const day = (n: number): Date => new Date(start + n * dayMs);
const rules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
const account = { network: "practice", account: "main" };

/** The tables that have rows once a fleet has lived. */
export const livedIn: readonly string[] = [
  ...[
    "inventory_version",
    "node",
    "incarnation",
    "journal",
    "sample",
    "line_pack",
    "node_latest",
    "node_hour",
    "node_day",
  ],
  ...["layer_interval", "network_node", "account", "chain", "reading", "reading_body", "fact", "gap", "node_event"],
  ...["job", "run", "change", "alert", "alert_message", "alert_delivery", "migration"],
  ...["recovery_episode", "recovery_action", "recovery_brake"],
];

/**
 * Lets a fleet of some nodes live for five days over the end of a month: rows in every table, days that are packed and
 * some that are erased, months that were dropped, names and answers in other scripts, an identity whose last value is
 * not in the table any more.
 */
export async function live(database: Database, url: string, nodes: number): Promise<void> {
  const records = Array.from({ length: nodes }, (_, slot) => nodeRecord(`home/${slot}`, `m${slot}`, "/nowhere"));
  await acceptInventory(database, inventoryFile(records, day(0)), day(0));
  await preparePartitionsAhead(database, day(0));
  await storeLines(database, nodes, 0, 120);
  await packClosedDays(database, day(4), new AbortController().signal);
  await dropEmptyPartitions(database, day(4));
  await knowAccount(database, account, "main", true);
  for (const [n, text] of ["{}", '{"name":"Łódź\\t\\\\N \\"雲\\"\\r\\n"}', "\\.", "\\N", "", "a\tb\nc"].entries()) {
    await storeAnswers(database, account, practice, 1000, [answered(n, text)], day(n));
  }
  await beginUnread(database, account, day(1), day(2), "away", day(2));
  await endUnread(database, account, day(3));
  await putJob(database, "read", "0 * * * *", day(1));
  const dues = [2, 3, 4].map((n) => ({ due: day(n), missed: n === 2 ? "away" : null, answerable: n === 2 }));
  await planRuns(database, [{ name: "read", after: day(1), until: day(4), dues }], day(4));
  const [run] = await claimRuns(database, ["read"], { by: "me", leaseMs: 1000, most: 5, now: day(4) });
  if (run === undefined) throw new Error("a due time is claimed");
  // The missed due time points at a later row of its own table.
  await finishRun(database, run, { outcome: "ok", reason: null, answersFrom: day(1) }, day(4));
  await alert(database, day(4));
  const owner = connectAsOwner(url, () => undefined);
  try {
    const erased = { when: day(5), why: "asked" };
    await eraseBodies(owner, noArchives, account, day(2), erased);
    await eraseLines(
      owner,
      noArchives,
      (await nodeIdOf(database, "home/0")) ?? 0,
      new Date(Date.UTC(2027, 1, 1)),
      erased,
    );
    await sql`insert into node_event (node_id, at, name, detail, seen_at)
      select id, ${day(1)}, 'seen', '{}', ${day(1)} from node, generate_series(1, 3)`.execute(owner);
    await sql`insert into recovery_episode (node_id, machine_id, trouble, reason, trouble_since, opened_at, standing)
      values (1, 'm0', 'software', 'no heartbeat', ${day(1)}, ${day(1)}, 'waits')`.execute(owner);
    await sql`insert into recovery_action
      (action_id, episode_id, node_id, machine_id, rung, reason, evidence, decided_at, next_try_at)
      values (gen_random_uuid(), 1, 1, 'm0', 'runtime', 'no heartbeat', '{"lines":[1]}', ${day(1)}, ${day(1)})`.execute(
      owner,
    );
    await sql`insert into recovery_brake (cause, reason, set_at) values ('operator', 'asked', ${day(1)})`.execute(
      owner,
    );
    await sql`delete from node_event where id = (select max(id) from node_event)`.execute(owner);
    await sql`insert into incarnation (node_id, machine_id, from_at, to_at) values (1, 'before', '-infinity', 'infinity')`.execute(
      owner,
    );
  } finally {
    await owner.destroy();
  }
}

/** Lets these nodes live one day more: `later` days after the first five. */
export async function liveOn(database: Database, nodes: number, later: number): Promise<void> {
  await storeLines(database, nodes, 120 + later * 24, 24);
  await storeAnswers(database, account, practice, 1000, [answered(5 + later, "{}")], day(5 + later));
}

/** Stores `count` lines of each node behind the first `skip`. */
async function storeLines(database: Database, nodes: number, skip: number, count: number): Promise<void> {
  for (let slot = 0; slot < nodes; slot++) {
    const nodeId = (await nodeIdOf(database, `home/${slot}`)) ?? 0;
    const journal = `00000000-0000-4000-8000-${String(slot).padStart(12, "0")}`;
    const life = nodeLife({ journal, from: start, everySeconds: 3600, random: randomFrom(slot) });
    const items = Array.from({ length: skip + count }, () => life.next().value as LivedLine).slice(skip);
    const header = { journal, first: 1, last: items.at(-1)?.n ?? 0, now: day(5).toISOString() };
    await storeJournalPart(database, { nodeId, machineId: `m${slot}`, header, items }, rules, day(5));
  }
}

/** An answer of the network on day `n`, and two facts of it. */
function answered(n: number, text: string) {
  const times = { startedAt: day(n), finishedAt: day(n) };
  const answer = { call: "user/profile", ...times, httpStatus: 200, body: text, failure: null };
  const told = { networkNodeId: `c-${n}`, day: null, derived: false };
  const points = { ...told, metric: "points", value: 12345678901234567890123456789n + BigInt(n), text: null };
  const verdict = { ...told, metric: "verdict", value: null, text: `${text} good` };
  return { answer, body: text, outcome: "ok" as const, reason: null, facts: [points, verdict] };
}

async function alert(database: Database, now: Date): Promise<void> {
  const [rule] = ruleNames as readonly RuleName[];
  if (rule === undefined) throw new Error("there are rules");
  await watchAlone(database, async (transaction) => {
    const one = { rule, severity: "critical" as const, summary: "It is so.", fix: "Do this.", since: now };
    const opened = ["home/0", "home/1"].map((subject) => ({ ...one, subject }));
    await saveSettlement(transaction, { opened, restated: [], ended: [] }, now);
    await announceAlerts(transaction, now);
  });
  const alerts = (await openAlerts(database)).map(({ id }) => id);
  await watchAlone(database, async (transaction) => {
    const message = { rule, kind: "began" as const, severity: "critical" as const, title: "", body: "", alerts };
    await saveTelling(transaction, { messages: [message], passedOver: [] }, () => ["post"], now);
  });
}

/**
 * Returns all there is in a database, asked in other words than a backup asks: for each table the number of its rows and
 * a hash over all of their texts, and what the catalog says of the schema.
 */
export async function contentsOf(url: string): Promise<Record<string, unknown>> {
  const client = new pg.Client({ connectionString: url, options: "-c timezone=Asia/Kathmandu -c bytea_output=escape" });
  await client.connect();
  try {
    const list = async (text: string): Promise<string[]> =>
      (await client.query<string[]>({ text, rowMode: "array" })).rows.map((row) => row.join(" | "));
    const tables = await list("select tablename from pg_tables where schemaname = 'public' order by 1");
    const rows: Record<string, string> = {};
    for (const table of tables) {
      const texts = (await list(`select t::text from ${table} t`)).sort();
      rows[table] = `${texts.length} ${createHash("sha256").update(texts.join("\u0000")).digest("hex")}`;
    }
    const sequences = await list("select sequencename from pg_sequences where schemaname = 'public' order by 1");
    const own = "relnamespace = 'public'::regnamespace";
    return {
      rows,
      sequences: await list(
        sequences.map((name) => `select '${name}', last_value, is_called from ${name}`).join(" union all ") +
          " order by 1",
      ),
      columns:
        await list(`select relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attstorage
        , pg_get_expr(adbin, adrelid) from pg_attribute join pg_class on pg_class.oid = attrelid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where ${own} and relkind in ('r', 'p') and attnum > 0 order by 1, 2`),
      partitions:
        await list(`select relname, pg_get_expr(relpartbound, oid) from pg_class where ${own} and relispartition
        and relkind = 'r' order by 1`),
      constraints: await list(`select relname, conname, pg_get_constraintdef(c.oid), convalidated from pg_constraint c
        join pg_class on pg_class.oid = conrelid where ${own} and contype <> 'n' order by 1, 2, 3`),
      indexes: await list("select indexname, indexdef from pg_indexes where schemaname = 'public' order by 1"),
      triggers: await list(`select relname, tgname, tgenabled, pg_get_triggerdef(t.oid) from pg_trigger t
        join pg_class on pg_class.oid = tgrelid where ${own} and not tgisinternal order by 1, 2`),
      functions:
        await list(`select proname, pg_get_functiondef(oid), has_function_privilege('${daemonRole}', oid, 'execute')
        from pg_proc where pronamespace = 'public'::regnamespace order by 1, 2`),
      rights: await list(
        `select relname, ${["select", "insert", "update", "delete", "truncate"]
          .map((right) => `has_table_privilege('${daemonRole}', oid, '${right}')`)
          .join(", ")} from pg_class where ${own} and relkind in ('r', 'p') order by 1`,
      ),
    };
  } finally {
    await client.end();
  }
}
