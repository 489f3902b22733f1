import { randomUUID } from "node:crypto";
import { sql } from "kysely";
import pg from "pg";
import { beforeEach, describe, expect, it } from "vitest";
import { encodeLine, type JournalLine } from "../../../cloud-init/agent/line.ts";
import { readSamples } from "../../../cloud-init/agent/samples.ts";
import { practice } from "../../../collector/networks/practice/adapter.ts";
import { connectAsOwner, type Database, migrations, openDatabase } from "../../../collector/store/database.ts";
import { eraseBodies } from "../../../collector/store/erase.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { storeJournalPart } from "../../../collector/store/journals.ts";
import { knowAccount, storeAnswers } from "../../../collector/store/readings.ts";
import { verifyEvidence } from "../../../collector/store/verify.ts";
import { nodeIdOf } from "../../../collector/store/views.ts";
import { noArchives, serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const server = serverForFile();
const now = new Date(Date.UTC(2026, 0, 1));
const accounts = [
  { network: "practice", account: "main" },
  { network: "practice", account: "öther" },
];
const main = { network: "practice", account: "main" };
let database: Database;
let owner: Database;
let url = "";

const silent = (): void => undefined;
const verify = () => verifyEvidence(database, silent);

/** Does what only somebody with every right on the server can do: past triggers and rights. */
async function tamper(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("set session_replication_role = replica");
  await client.query(statement);
  await client.end();
}

async function read(
  key: { network: string; account: string },
  body: string,
  points: bigint,
  on = database,
): Promise<void> {
  const answer = { call: "user/profile", startedAt: now, finishedAt: now, httpStatus: 200, body, failure: null };
  const facts = [{ metric: "points", networkNodeId: null, value: points, text: null, day: null, derived: false }];
  const understood = { answer, body, outcome: "ok" as const, reason: null, facts };
  await storeAnswers(
    on,
    key,
    practice,
    1000,
    [understood, { ...understood, outcome: "transient", reason: "☂ away", facts: [] }],
    now,
  );
}

async function storeLines(from: number, count: number, journal: string): Promise<void> {
  const nodeId = (await nodeIdOf(database, "home/0")) ?? 0;
  const lines = Array.from({ length: count }, (_, index) =>
    encodeLine({
      v: 1,
      j: journal,
      n: from + index,
      boot: "b",
      at: new Date(now.getTime() + index * 1000).toISOString(),
      mono_ms: index,
      kind: "sample",
      every_s: 10,
    } as JournalLine),
  );
  const last = from + count - 1;
  const text = [
    JSON.stringify({ journal, first: 1, last, now: now.toISOString() }),
    ...lines,
    JSON.stringify({ end: true, count, more: false }),
  ].join("\n");
  const after = from === 1 ? null : { journal, n: from - 1 };
  const { header, items } = await readSamples([Buffer.from(`${text}\n`)], { after });
  const rules = { runtimeUnit: null, appUnit: null, heartbeatStaleSeconds: null };
  await storeJournalPart(database, { nodeId, machineId: "m", header, items }, rules, now);
}

beforeEach(async () => {
  ({ database, url } = await server.fresh());
  owner = connectAsOwner(url, silent);
  for (const key of accounts) await knowAccount(database, key, "", true);
  await acceptInventory(database, inventoryFile([nodeRecord("home/0", "m", "/nowhere")], now), now);
  return () => owner.destroy();
});

describe("evidence", () => {
  it("is one whole chain for each account, however many store at once", async () => {
    await Promise.all(
      Array.from({ length: 12 }, (_, index) => read(accounts[index % 2] ?? main, `{"n":${index}}`, 5n)),
    );
    const rows = await database.selectFrom("reading").select(["account", "n"]).execute();
    for (const { account } of accounts) {
      const places = rows.filter((row) => row.account === account).map(({ n }) => Number(n));
      expect(places.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
    }
    expect(await verify()).toEqual({
      readings: 24,
      erased: 0,
      facts: 12,
      lines: 0,
      erasedLines: 0,
      archives: 0,
      faults: [],
    });
  });

  it("cannot be changed or deleted by the collector's own role", async () => {
    await read(main, "{}", 1n);
    for (const statement of [
      "update reading set outcome = 'ok'",
      "delete from reading",
      "update fact set value = 2",
      "delete from fact",
      "update reading_body set body = ''",
      "delete from reading_body",
      "update chain set head = null",
      "truncate fact",
    ])
      await expect(sql.raw(statement).execute(database), statement).rejects.toMatchObject({ code: "42501" });
    const [row] = (await sql<{ role: string }>`select current_user as role`.execute(database)).rows;
    expect(row?.role).toBe("gradientlab_daemon");
  });

  it("is refused where a body is not what its header says", async () => {
    await read(main, "{}", 1n);
    const { id } = await database.selectFrom("reading").select("id").limit(1).executeTakeFirstOrThrow();
    await sql`set session_replication_role = replica`.execute(owner);
    await sql`delete from reading_body where reading_id = ${id}`.execute(owner);
    await sql`set session_replication_role = origin`.execute(owner);
    await expect(
      database.insertInto("reading_body").values({ reading_id: id, body: "{ }" }).execute(),
    ).rejects.toMatchObject({ code: "23514" });
  });

  it.each([
    ["a changed body", "update reading_body set body = replace(body, '1', '2')", /The body of reading \d+ was changed/],
    [
      "a changed header",
      "update reading set finished_at = finished_at + interval '1 second' where n = 2",
      /The header of reading \d+ was changed/,
    ],
    ["a deleted reading", "delete from reading where n = 2", /has no reading 2: the next is 3/],
    ["a deleted end", "delete from reading where n = 4", /ends at 3, and its head says 4/],
    ["a fact of another reading", "update fact set reading_id = 999999", /2 facts are not of the reading they name/],
    [
      "a changed line",
      "update sample set line = replace(line::text, '\"mono_ms\":2', '\"mono_ms\":4')::json",
      /The lines of journal \S+ are not/,
    ],
    ["a deleted line", "delete from sample where n = 5", /The lines of journal \S+ are not/],
  ])("shows %s", async (_what, statement, fault) => {
    await read(main, '{"points":1}', 1n);
    await read(main, '{"points":1}', 1n);
    const journal = randomUUID();
    await storeLines(1, 3, journal);
    await storeLines(4, 3, journal);
    expect(await verify()).toMatchObject({ lines: 6, faults: [] });
    await tamper(statement);
    expect((await verify()).faults.join("\n")).toMatch(fault);
  });

  it("may lose a body for good, and says when and why", async () => {
    await read(main, '{"email":"a@b"}', 1n);
    const erased = { when: now, why: "the person asked" };
    expect(await eraseBodies(owner, noArchives, main, new Date(now.getTime() + 1), erased)).toBe(2);
    expect(await verify()).toEqual({
      readings: 2,
      erased: 2,
      facts: 1,
      lines: 0,
      erasedLines: 0,
      archives: 0,
      faults: [],
    });
    const bodies = await database.selectFrom("reading_body").select(["body", "erased"]).execute();
    expect(bodies[0]).toEqual({ body: null, erased: { when: now.toISOString(), why: "the person asked" } });
    await expect(sql`update reading_body set body = 'x', erased = null`.execute(owner)).rejects.toThrow(
      /never changed/,
    );
    await expect(sql`delete from reading_body`.execute(owner)).rejects.toThrow(/never changed/);
  });

  it("keeps every number of a database that the first release made", async () => {
    const old = await server.freshUrl();
    const client = new pg.Client({ connectionString: old });
    await client.connect();
    const [first] = await migrations();
    await client.query(
      "create table migration (number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now())",
    );
    await client.query(first?.text ?? "");
    await client.query("insert into migration (number, name, sha256) values (1, $1, $2)", [first?.name, first?.sha256]);
    await client.query(`
      insert into account values ('practice', 'main', '', true), ('practice', 'other', '', true);
      insert into node (key, node_group, slot, provider, region, workload, power, machine_id, reach, first_seen_at)
        values ('home/0', 'home', 0, 'p', 'r', 'w', 'on', 'm', '{}', now());
      insert into node_latest (node_id) values (1);
      insert into incarnation (node_id, machine_id, from_at) values (1, 'm', now());
      insert into journal (uuid, incarnation_id, cursor, first_seen_at) values ('${randomUUID()}', 1, 40, now());
      insert into sample select 1, n, 1, '2026-01-30 23:59:50+00'::timestamptz + n * interval '1 hour', 'b', n, 'sample', 10,
        json_build_object('n', n, 'x', 'ö' || n) from generate_series(1, 40) n;
      insert into reading (network, account, source, started_at, finished_at, http_status, outcome, sha256, redactor, body)
        select 'practice', case when n % 3 = 0 then 'other' else 'main' end, 'call', '2026-01-01 00:00:00.123+00',
          '2026-01-01 00:00:01.5+00', 200, 'ok', encode(sha256(convert_to('ü' || n, 'UTF8')), 'hex'), 1, 'ü' || n
        from generate_series(1, 30) n;
      insert into fact (reading_id, network, account, metric, kind, value, scale, derived, parser, as_of)
        select id, network, account, 'points', 'lifetime', 99999999999999999999999999999999999999::numeric - id, 5, false, 'p/1', now()
        from reading;
      insert into run (job, due, claimed_at, lease_until, finished_at, outcome)
        select 'job', '2026-01-01'::timestamptz + n * interval '1 minute', now(), now(), case when n < 5 then now() end,
          case when n < 5 then 'ok' end from generate_series(1, 5) n`);
    const numbers = async () =>
      (
        await client.query(`
          select 'fact' as what, string_agg(value::text, ',' order by id) as all from fact
          union all select 'sample', string_agg(line::text, ',' order by n) from sample
          union all select 'run', string_agg(due::text, ',' order by id) from run order by 1`)
      ).rows;
    const before = await numbers();
    const opened = await openDatabase(old, silent);
    expect(await numbers()).toEqual(before);
    const whole = { readings: 30, erased: 0, facts: 30, lines: 40, erasedLines: 0, archives: 0, faults: [] };
    expect(await verifyEvidence(opened, silent)).toEqual(whole);
    const runs = await opened.selectFrom("run").select(["outcome", "attempts"]).orderBy("id").execute();
    expect(runs.at(-1)).toEqual({ outcome: "failed", attempts: 1 });
    await opened.destroy();
    await client.end();
  });

  it("is kept by triggers alone where the account may not make roles, and one sentence says so", async () => {
    const plain = new URL(await server.freshUrl());
    const client = new pg.Client({ connectionString: plain.href });
    await client.connect();
    await client.query("create role plain login password 'plain-word'");
    await client.query("grant all on schema public to plain");
    await client.end();
    plain.username = "plain";
    plain.password = "plain-word";
    const notes: string[] = [];
    const opened = await openDatabase(plain.href, silent, (sentence) => notes.push(sentence));
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/triggers alone, because its account may not make the role gradientlab_daemon/);
    await knowAccount(opened, main, "", true);
    await read(main, "{}", 1n, opened);
    await expect(sql`delete from reading`.execute(opened)).rejects.toMatchObject({ code: "23001" });
    await opened.destroy();
  });
});
