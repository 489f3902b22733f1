import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { restoreBackup } from "../../../collector/store/backup/restore.ts";
import { takeBackup } from "../../../collector/store/backup/take.ts";
import { connectAsOwner, migrations, migrationTable, openDatabase } from "../../../collector/store/database.ts";
import { journalBeginning, linkLine } from "../../../collector/store/links.ts";
import { packClosedDays } from "../../../collector/store/packing.ts";
import { verifyEvidence } from "../../../collector/store/verify.ts";
import { type LivedLine, nodeLife, randomFrom } from "../../harness/node-life.ts";
import { serverForFile } from "../database.ts";
import { contentsOf } from "./backup/lived-database.ts";

const server = serverForFile();
const silent = (): void => undefined;
const dayMs = 86_400_000;
const start = Date.UTC(2026, 10, 29, 6);
const journal = "00000000-0000-4000-8000-000000000001";
const body = '{"points":"12.5","name":"Łódź"}';
const sha256 = createHash("sha256").update(body).digest("hex");
const size = Buffer.byteLength(body);
const levels = await migrations();
const numbers = levels.map(({ number }) => number);
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "migrations-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** The lines of one journal over the end of a month: `count` behind the first `skip`. */
function lines(skip: number, count: number): LivedLine[] {
  const life = nodeLife({ journal, from: start, everySeconds: 7200, random: randomFrom(5) });
  return Array.from({ length: skip + count }, () => life.next().value as LivedLine).slice(skip);
}

async function putLines(client: pg.Client, put: readonly LivedLine[]): Promise<void> {
  for (const { n, line, text } of put) {
    await client.query(
      `insert into sample (journal_id, n, node_id, at, boot, mono_ms, kind, every_s, line) values (1, $1, 1, $2, $3, $4, $5, $6, $7)`,
      [n, line.at, line.boot, line.mono_ms, line.kind, line.every_s, text],
    );
  }
}

/** What a collector of each schema would have written: rows as that schema has them. */
const written: Readonly<Record<number, (client: pg.Client, url: string) => Promise<void>>> = {
  1: async (client) => {
    await client.query(`
      insert into inventory_version (stack, sha256, written_at, accepted_at, body) values ('dev', 'x', '2026-11-01', '2026-11-01', '{"n":1}');
      insert into node (key, node_group, slot, provider, region, workload, network, power, machine_id, reach, first_seen_at)
        values ('home/0', 'home', 0, 'p', 'r', 'sentry', 'practice', 'on', 'm', '{}', '2026-11-01');
      insert into incarnation (node_id, machine_id, from_at) values (1, 'm', '2026-11-01');
      insert into journal (uuid, incarnation_id, cursor, first_seen_at) values ('${journal}', 1, 30, '2026-11-29');
      insert into node_latest (node_id, restarts, pss_bytes) values (1, 3, 123456789012);
      insert into layer_interval (node_id, layer, value, reason, from_at, to_at, as_of, evidence)
        values (1, 'app', 'up', 'r', '2026-11-01 01:02:03.456', '2026-11-02', '2026-11-02', '{"n":[1,2]}');
      insert into network_node (node_id, incarnation_id, network, network_node_id, from_at, evidence) values (1, 1, 'practice', 'c-1', '2026-11-01', '{}');
      insert into account values ('practice', 'main', 'Main', true), ('practice', 'second', 'Second', true);
      insert into gap (node_id, kind, from_at, reason) values (1, 'no-samples', '2026-11-03', 'away');
      insert into node_event (node_id, at, name, detail) values (1, '2026-11-04 05:06:07.089', 'boot', '{"a":1.50}');
      insert into run (job, due, claimed_at, lease_until, finished_at, outcome) values ('read', '2026-11-05', '2026-11-05', '2026-11-05', '2026-11-05', 'ok');
      insert into run (job, due, claimed_at, lease_until) values ('read', '2026-11-06', '2026-11-06', '2026-11-06');
      insert into change (at, topic, subject) values ('2026-11-05', 'node', 'home/0')`);
    for (const account of ["main", "second", "main"]) {
      await client.query(
        `insert into reading (network, account, source, started_at, finished_at, http_status, outcome, sha256, redactor, body)
           values ('practice', $1, 'user', '2026-11-05 01:02:03.004', '2026-11-05 01:02:04', 200, 'ok', $2, 2, $3)`,
        [account, sha256, body],
      );
    }
    await client.query(`insert into fact (reading_id, network, account, metric, kind, value, unit, scale, derived, parser, as_of)
      select id, network, account, 'points', 'lifetime', 99999999999999999999999999999999999999, 'point', 5, false, 'p/1', finished_at from reading`);
    await putLines(client, lines(0, 30));
  },
  2: async (client) => {
    await client.query(`
      insert into run (job, due, finished_at, outcome, reason, answerable) values ('read', '2026-11-07', '2026-11-08', 'missed', 'away', true);
      insert into run (job, due, claimed_at, lease_until, finished_at, outcome, attempts, claimed_by)
        values ('read', '2026-11-08', '2026-11-08', '2026-11-08', '2026-11-08', 'ok', 2, 'me');
      update run set answered_by = 4 where id = 3;
      insert into job (name, cron, planned_until) values ('pack', '0 * * * *', '2026-11-08')`);
  },
  3: async (client) => {
    for (const kept of [true, false]) {
      const { rows } = await client.query<{ id: string }>(
        `insert into reading (network, account, source, started_at, finished_at, outcome, sha256, redactor, size, n, hash)
           values ('practice', 'main', 'user', '2026-11-09', '2026-11-09', 'shape', $1, 2, $2, 0, '') returning id`,
        [sha256, size],
      );
      await client.query("insert into reading_body (reading_id, body) values ($1, $2)", [rows[0]?.id, body]);
      if (kept) continue;
      const erased = { when: "2026-11-10T00:00:00.000Z", why: "asked" };
      await client.query("update reading_body set body = null, erased = $2 where reading_id = $1", [
        rows[0]?.id,
        erased,
      ]);
    }
  },
  4: async (client) => {
    const more = lines(30, 30);
    await client.query("select make_partitions($1::date[])", [more.map(({ line }) => line.at.slice(0, 10))]);
    await putLines(client, more);
    const chain = lines(0, 60).reduce((link, { text }) => linkLine(link, text), journalBeginning(journal));
    await client.query("update journal set cursor = 60, chain = $1, last_at = $2", [chain, more.at(-1)?.line.at]);
    await client.query(`
      insert into node_hour select 1, '2026-11-01', 12, 1, 3600000, 12, 12, 11, 12, 3, 12, 12345678901234567890, 7, 8, 9;
      insert into node_day select * from node_hour`);
  },
  5: async (client) => {
    await client.query(`
      insert into alert (rule, subject, severity, summary, fix, since, opened_at, told_at)
        values ('node-silent', 'home/0', 'critical', 's', 'f', '2026-11-05', '2026-11-05', '2026-11-06');
      insert into alert_message values ('${journal}', '2026-11-06', 'node-silent', 'began', 'critical', 't', 'b', '[1]');
      insert into alert_delivery (message_id, channel, attempts, next_try_at, delivered_at) values ('${journal}', 'post', 2, '2026-11-06', '2026-11-07')`);
  },
  6: async (_client, url) => {
    const owner = connectAsOwner(url, silent);
    await packClosedDays(owner, new Date(start + 3 * dayMs), new AbortController().signal);
    await owner.destroy();
  },
  7: async (client) => {
    await client.query(`
      insert into recovery_episode (node_id, machine_id, trouble, reason, trouble_since, opened_at, standing)
        values (1, 'm', 'software', 'no heartbeat', '2026-11-05', '2026-11-05', 'waits');
      insert into recovery_action (action_id, episode_id, node_id, machine_id, rung, reason, evidence, decided_at, next_try_at)
        values ('${journal}', 1, 1, 'm', 'runtime', 'no heartbeat', '{}', '2026-11-05', '2026-11-05');
      insert into recovery_brake (cause, reason, set_at) values ('operator', 'asked', '2026-11-05')`);
  },
  8: async (client) => {
    await client.query(`
      insert into cost (node_id, item, line, micro_usd_per_month, source, checked_on, from_at, to_at)
        values (1, 'machine', 1, 9007199254740993, 'list', '2026-11-01', '2026-11-01', '2026-11-05'),
          (null, 'address', 2, 0, 'list', '2026-11-01', '2026-11-05', null)`);
  },
};

/** Makes a database as a collector of this schema left it, which every schema before had been at work on. */
async function databaseOf(level: number): Promise<string> {
  const url = await server.freshUrl();
  const client = new pg.Client({ connectionString: url, options: "-c timezone=UTC" });
  await client.connect();
  await client.query(migrationTable);
  for (const { number, name, text, sha256: sum } of levels.slice(0, level)) {
    await client.query(text);
    await client.query("insert into migration (number, name, sha256) values ($1, $2, $3)", [number, name, sum]);
    await written[number]?.(client, url);
  }
  await client.end();
  return url;
}

type Rows = ReadonlyMap<string, Readonly<Record<string, string | null>>>;

/** Returns every value of every table as text, by the row's first columns that tell it from others. */
async function valuesOf(url: string): Promise<ReadonlyMap<string, Rows>> {
  const client = new pg.Client({ connectionString: url, options: "-c timezone=UTC" });
  await client.connect();
  const found = new Map<string, Rows>();
  const tables = await client.query<{ name: string; columns: string[] }>(
    `select relname as name, array_agg(attname::text order by attnum) as columns from pg_class join pg_attribute on attrelid = pg_class.oid
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition and attnum > 0 and not attisdropped
     group by 1`,
  );
  for (const { name, columns } of tables.rows) {
    const { rows } = await client.query<Record<string, string | null>>(
      `select ${columns.map((column) => `${column}::text`).join(", ")} from ${name}`,
    );
    found.set(name, new Map(rows.map((row) => [keyOf(name, row), row])));
    expect(found.get(name)?.size).toBe(rows.length);
  }
  await client.end();
  return found;
}

const keys: Readonly<Record<string, readonly string[]>> = {
  sample: ["journal_id", "n"],
  line_pack: ["journal_id", "first_n"],
  node_hour: ["node_id", "at"],
  node_day: ["node_id", "at"],
  node_latest: ["node_id"],
  account: ["network", "account"],
  chain: ["network", "account"],
  reading_body: ["reading_id"],
  alert_delivery: ["message_id", "channel"],
  job: ["name"],
  migration: ["number"],
};

function keyOf(table: string, row: Readonly<Record<string, string | null>>): string {
  return (keys[table] ?? ["id"]).map((column) => row[column]).join(" ");
}

describe.each(numbers)("a database of schema %i with data", (level) => {
  it("keeps every value when it comes to this release's schema, and its evidence verifies", async () => {
    const url = await databaseOf(level);
    const before = await valuesOf(url);
    const database = await openDatabase(url, silent);
    const { faults, readings, lines: checked } = await verifyEvidence(database, silent);
    await database.destroy();
    expect(faults).toEqual([]);
    expect([readings, checked]).toEqual([level < 3 ? 3 : 5, level < 4 ? 30 : 60]);
    const after = await valuesOf(url);
    const lost: string[] = [];
    for (const [table, rows] of before) {
      for (const [key, row] of rows) {
        for (const [column, value] of Object.entries(row)) {
          // Bodies moved to a table of their own.
          const [inTable, inColumn, inKey] =
            table === "reading" && column === "body" ? ["reading_body", "body", row.id] : [table, column, key];
          // What was not known may be known now; what was known is what it was.
          if (value === null || after.get(inTable)?.get(inKey ?? "")?.[inColumn] === value) continue;
          lost.push(`${table} ${key} ${column}: ${value}`);
        }
      }
    }
    expect(lost).toEqual([]);
  });

  it("can be backed up as it is, and its restore comes to the same", async () => {
    const url = await databaseOf(level);
    const to = join(folder, String(level));
    const order = { url, folder: to, release: "0.0.0", now: new Date(start), pieceBytes: 1024 * 1024 };
    const { manifest } = await takeBackup(order, silent);
    expect(manifest.migrations.length).toBe(level);
    const target = await server.freshUrl();
    await restoreBackup({ url: target, folder: to, dataFolder: null }, silent);
    await (await openDatabase(url, silent)).destroy();
    const [restored, migrated] = [await contentsOf(target), await contentsOf(url)];
    // When each migration was applied differs.
    const withoutInstants = ({ rows, ...rest }: Record<string, unknown>) => ({
      ...rest,
      rows: { ...(rows as Record<string, string>), migration: levels.length },
    });
    expect(withoutInstants(restored)).toEqual(withoutInstants(migrated));
  });
});
