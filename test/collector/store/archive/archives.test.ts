import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DuckDBInstance } from "@duckdb/node-api";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildServer } from "../../../../collector/api/server.ts";
import { workloadsIn } from "../../../../collector/inventory/workloads.ts";
import { archivedBefore, archivingJob } from "../../../../collector/journal/archiving.ts";
import { practice } from "../../../../collector/networks/practice/adapter.ts";
import { type Archives, openArchives } from "../../../../collector/store/archive/archives.ts";
import { archiveOldMonths } from "../../../../collector/store/archive/archiving.ts";
import { restoreBackup } from "../../../../collector/store/backup/restore.ts";
import { takeBackup } from "../../../../collector/store/backup/take.ts";
import { connectAsOwner, type Database } from "../../../../collector/store/database.ts";
import { eraseBodies, eraseLines } from "../../../../collector/store/erase.ts";
import { acceptInventory } from "../../../../collector/store/inventory.ts";
import { storeJournalPart } from "../../../../collector/store/journals.ts";
import { packClosedDays } from "../../../../collector/store/packing.ts";
import { knowAccount, storeAnswers } from "../../../../collector/store/readings.ts";
import { storedReadings } from "../../../../collector/store/reparse.ts";
import { rebuildOne } from "../../../../collector/store/rollups.ts";
import { verifyEvidence } from "../../../../collector/store/verify.ts";
import { nodeIdOf, readingRow, rollupRows, sampleRows } from "../../../../collector/store/views.ts";
import { type LivedLine, nodeLife, randomFrom } from "../../../harness/node-life.ts";
import { serverForFile } from "../../database.ts";
import { inventoryFile, nodeRecord } from "../../inventory.ts";

const kills = Number(process.env.ARCHIVE_KILLS ?? 6);
const program = fileURLToPath(new URL("./archive-process.ts", import.meta.url));
const server = serverForFile();
const start = Date.UTC(2027, 0, 25);
const dayMs = 86_400_000;
const march = new Date(Date.UTC(2027, 2, 1));
const rules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
const account = { network: "practice", account: "main" };
const never = new AbortController().signal;
const silent = (): void => undefined;
let database: Database;
let owner: Database;
let url = "";
let folder = "";
let archives: Archives;
let ids: number[] = [];

beforeEach(async () => {
  ({ database, url } = await server.fresh());
  owner = connectAsOwner(url, silent);
  folder = await mkdtemp(join(tmpdir(), "archives-"));
  archives = openArchives(folder);
  const now = new Date(start);
  const records = [0, 1].map((slot) => nodeRecord(`home/${slot}`, `m${slot}`, "/nowhere"));
  await acceptInventory(database, inventoryFile(records, now), now);
  ids = await Promise.all([0, 1].map(async (slot) => (await nodeIdOf(database, `home/${slot}`)) ?? 0));
});
afterEach(async () => {
  await owner.destroy();
  await rm(folder, { recursive: true, force: true });
});

function lived(journal: string, count: number, from = start, everySeconds = 3600): LivedLine[] {
  const life = nodeLife({ journal, from, everySeconds, random: randomFrom(7) });
  return Array.from({ length: count }, () => life.next().value as LivedLine);
}

async function store(slot: number, items: readonly LivedLine[]): Promise<void> {
  const header = {
    journal: items[0]?.line.j ?? "",
    first: 1,
    last: items.at(-1)?.n ?? 0,
    now: new Date(start).toISOString(),
  };
  const part = { nodeId: ids[slot] ?? 0, machineId: `m${slot}`, header, items };
  await storeJournalPart(database, part, rules, new Date(start));
}

async function answer(n: number, body: string, on = database): Promise<void> {
  const at = new Date(start + n * dayMs);
  const told = { call: "user/main", startedAt: at, finishedAt: at, httpStatus: 200, body, failure: null };
  await storeAnswers(on, account, practice, 1000, [{ answer: told, body, outcome: "ok", reason: null, facts: [] }], at);
}

/** Three weeks of two nodes over the end of a month, packed, and an answer a day. */
async function live(): Promise<string[]> {
  const lines = [lived(randomUUID(), 500), lived(randomUUID(), 500)];
  for (const [slot, items] of lines.entries()) await store(slot, items);
  await packClosedDays(database, new Date(start + 60 * dayMs), never);
  await knowAccount(database, account, "main", true);
  for (let n = 0; n < 20; n++) await answer(n, `{"n":${n},"name":"Łódź 雲 \\u0000"}`);
  return lines.flat().map(({ text }) => text);
}

const archive = (before = march, from = database) => archiveOldMonths(from, archives, before, never);
const verify = () => verifyEvidence(database, silent, openArchives(folder));
const texts = async (): Promise<string[]> => {
  const rows = await Promise.all(
    ids.map((nodeId) => sampleRows(database, { nodeId, order: "asc", limit: 100_000 }, archives)),
  );
  return rows.flat().map(({ line }) => line);
};
const files = async (): Promise<string[]> => (await readdir(folder)).toSorted();

/** Every way of asking for lines that differs in what it has to read, and paging through all of them. */
async function answers() {
  const found: Record<string, unknown> = {};
  const [nodeId = 0] = ids;
  const [from, to] = [new Date(start + 3.7 * dayMs), new Date(start + 9.6 * dayMs)];
  for (const order of ["asc", "desc"] as const) {
    for (const kind of [undefined, "sample", "event"] as const) {
      const of = kind === undefined ? {} : { kind };
      const name = `${order} ${kind}`;
      const all = await sampleRows(database, { nodeId, order, ...of, limit: 10_000 }, archives);
      found[name] = all;
      found[`${name} range`] = await sampleRows(database, { nodeId, order, ...of, from, to, limit: 10_000 }, archives);
      const paged = [];
      for (let last = all[-1]; ; last = paged.at(-1)) {
        const after = last === undefined ? {} : { after: { at: last.at, journal: last.journal_id, n: last.n } };
        const page = await sampleRows(database, { nodeId, order, ...of, ...after, limit: 140 }, archives);
        paged.push(...page);
        if (page.length < 140) break;
      }
      expect(paged, name).toEqual(all);
    }
  }
  found.readings = await storedReadings(database, "practice", new Date(0), "0", 100, archives);
  return found;
}

/** Asks a program that is not ours what Parquet files hold. */
async function ask(query: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const result = await connection.runAndReadAll(query);
    return result.getRowObjectsJson() as Record<string, unknown>[];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

describe("archives", () => {
  it("leave every answer, sum and proof as it was, and take the months out of the database", async () => {
    const lines = await live();
    const before = await answers();
    const rollups = await rollupRows(database, { nodeId: ids[0] ?? 0, every: "hour", limit: 10_000 });
    expect(await archive(new Date(Date.UTC(2027, 1, 1)))).toEqual({ files: 2, rows: expect.any(Number) });
    expect(await answers()).toEqual(before);
    expect((await verify()).faults).toEqual([]);
    expect(await archive()).toEqual({ files: 2, rows: expect.any(Number) });
    expect(await archive()).toEqual({ files: 0, rows: 0 });
    expect((await files()).map((file) => file.replace(/\.[0-9a-f]{8}\./, "."))).toEqual([
      ...["lines-2027-01.parquet", "lines-2027-02.parquet"],
      ...["readings-2027-01.parquet", "readings-2027-02.parquet"],
    ]);
    expect(await answers()).toEqual(before);
    expect((await texts()).toSorted()).toEqual(lines.toSorted());
    expect(await verify()).toMatchObject({ lines: 1000, readings: 20, archives: 4, faults: [] });
    const left = await sql<{ lines: string; bodies: string }>`
      select (select count(*) from line_pack where archive_id is null) as lines,
        (select count(*) from reading_body where body is not null) as bodies`.execute(database);
    expect(left.rows).toEqual([{ lines: "0", bodies: "0" }]);
    await database.updateTable("node_latest").set({ rolled_up: false }).execute();
    while (await rebuildOne(database));
    expect(await rollupRows(database, { nodeId: ids[0] ?? 0, every: "hour", limit: 10_000 })).toEqual(rollups);
    expect((await verify()).faults).toEqual([]);
  });

  it("take what comes late into the month's own file, and the journal goes on", async () => {
    const journal = randomUUID();
    const lines = lived(journal, 300);
    await store(0, lines.slice(0, 150));
    await packClosedDays(database, new Date(start + 60 * dayMs), never);
    await archive();
    const first = await files();
    await store(0, lines.slice(150));
    await packClosedDays(database, new Date(start + 90 * dayMs), never);
    expect((await verify()).faults).toEqual([]);
    await archive();
    expect((await files()).length).toBe(2);
    expect(await files()).not.toEqual(first);
    expect((await texts()).toSorted()).toEqual(lines.map(({ text }) => text).toSorted());
    expect(await verify()).toMatchObject({ lines: 300, archives: 2, faults: [] });
  });

  it("are read by DuckDB, typed, with what gives each line back", async () => {
    const lines = await live();
    await archive();
    const [sums] = await ask(`select count(*) as lines, count(distinct node) as nodes, min(at_utc) as first,
        sum(runtime_pss_bytes)::bigint as pss, round(avg(machine_load1), 6) as load, count(app_looked) filter (app_looked) as looked
      from '${folder}/lines-*.parquet'`);
    const told = lines.map((text) => JSON.parse(text) as Record<string, Record<string, number> | undefined>);
    const loads = told.flatMap(({ machine }) => (machine?.load1 === undefined ? [] : [machine.load1]));
    expect(sums).toMatchObject({
      lines: "1000",
      nodes: "2",
      first: told
        .map(({ at }) => String(at))
        .toSorted()[0]
        ?.replace("T", " ")
        .replace("Z", "+00"),
      pss: String(told.reduce((sum, { runtime }) => sum + (runtime?.pss_bytes ?? 0), 0)),
      load: Number((loads.reduce((sum, load) => sum + load, 0) / loads.length).toFixed(6)),
    });
    const types = await ask(`describe select * from '${folder}/lines-*.parquet'`);
    expect(Object.fromEntries(types.map((row) => [row.column_name, row.column_type]))).toMatchObject({
      ...{ node: "VARCHAR", n: "BIGINT", at_utc: "TIMESTAMP WITH TIME ZONE", mono_ms: "DOUBLE", form: "VARCHAR" },
      ...{ machine_mem_total_bytes: "BIGINT", app_looked: "BOOLEAN", runtime_since: "TIMESTAMP WITH TIME ZONE" },
    });
    const [codec] = await ask(`select distinct compression from parquet_metadata('${folder}/lines-*.parquet')`);
    expect(codec).toEqual({ compression: "ZSTD" });
    const bodies = await ask(`select body, sha256 from '${folder}/readings-*.parquet' where sha256(body) = sha256`);
    expect(bodies.length).toBe(20);
  });

  it("of which a file is missing, changed or cut say so and name it, whatever asks", async () => {
    await live();
    await archive();
    const lines = (await files()).find((file) => file.startsWith("lines-2027-01")) ?? "";
    const readings = (await files()).find((file) => file.startsWith("readings-2027-01")) ?? "";
    const app = await buildServer({
      database,
      archives,
      workloads: workloadsIn(null),
      now: () => march,
      host: "127.0.0.1",
      webRoot: null,
      bell: { listen: () => silent, stop: async () => undefined },
      log: silent,
      waiting: async () => [],
      metrics: async () => "",
    });
    const get = async (path: string) => {
      const { statusCode, json } = await app.inject({ url: `/api/v1/${path}`, headers: { host: "127.0.0.1" } });
      return { statusCode, ...(json() as { code?: string; detail?: string; items?: unknown[] }) };
    };
    expect((await get("nodes/home/0/samples?order=asc")).items?.length).toBe(100);
    const asked = {
      "nodes/home/0/samples?order=asc": lines,
      "nodes/home/1/samples?from=2027-01-26T00:00:00Z&to=2027-01-27T00:00:00Z": lines,
      "readings/1": readings,
    };
    for (const [path, file] of Object.entries(asked)) {
      const whole = await readFile(archives.path(file));
      await rename(archives.path(file), join(folder, "away"));
      expect(await get(path)).toMatchObject({ statusCode: 410, code: "archive-missing" });
      expect((await get(path)).detail).toContain(file);
      expect((await verify()).faults.join("\n")).toContain(
        `The archive ${file}, which holds what was asked for, is not in`,
      );
      await expect(archive(new Date(Date.UTC(2028, 0, 1)))).rejects.toMatchObject({ code: "archive-missing", file });
      for (const other of [
        Buffer.concat([whole, Buffer.of(0)]),
        whole.subarray(0, 900),
        whole.with(500, 255 - (whole[500] ?? 0)),
      ]) {
        await writeFile(archives.path(file), other);
        expect(await get(path)).toMatchObject({ statusCode: 410, code: "archive-changed" });
        expect((await get(path)).detail).toContain(file);
        expect((await verify()).faults.join("\n")).toContain(
          `The archive ${file}, which holds what was asked for, is not what`,
        );
      }
      // What does not need it is answered.
      expect(await get("nodes/home/0/samples?limit=5")).toMatchObject({ statusCode: 200 });
      expect(await get("nodes/home/0/rollups?every=day")).toMatchObject({ statusCode: 200 });
      await rm(archives.path(file));
      await rename(join(folder, "away"), archives.path(file));
      expect(await get(path)).toMatchObject({ statusCode: 200 });
    }
    await app.close();
    expect((await verify()).faults).toEqual([]);
  });

  it("hold what the database compared, or nothing is taken out of it", async () => {
    await live();
    const { id } = await database
      .insertInto("archive")
      .values({ kind: "lines", month: "2027-01-01", file: "forged", state: "writing", began_at: march })
      .returning("id")
      .executeTakeFirstOrThrow();
    const own = await database
      .selectFrom("line_pack")
      .select(["journal_id", "first_n", "chain", sql<number>`samples + events`.as("lines")])
      .orderBy("day")
      .limit(2)
      .execute();
    const keep = (rows: number, proofs: readonly Buffer[]) =>
      sql`select archive_packs(${id}::integer, 'x', 10, ${rows}::bigint, ${own.map((pack) => pack.journal_id)}::integer[],
        ${own.map((pack) => pack.first_n)}::bigint[], ${[0, 1]}::integer[], ${proofs}::bytea[])`.execute(database);
    const rows = own.reduce((sum, { lines }) => sum + lines, 0);
    const proofs = own.map(({ chain }) => chain);
    await expect(keep(rows, [proofs[0] ?? Buffer.alloc(0), Buffer.alloc(32)])).rejects.toMatchObject({ code: "23514" });
    await expect(keep(rows + 1, proofs)).rejects.toMatchObject({ code: "23514" });
    await archive();
    for (const statement of [
      "update archive set sha256 = 'x'",
      "update archive set state = 'replaced'",
      "delete from archive",
      "update line_pack set archive_id = null, archive_row = null, sample_lines = 'x', event_lines = 'x'",
      "update reading_body set archive_id = null, archive_row = null, body = 'x'",
    ])
      await expect(sql.raw(statement).execute(owner), statement).rejects.toMatchObject({ code: "23001" });
    await expect(sql`update archive set bytes = 1`.execute(database)).rejects.toMatchObject({ code: "42501" });
    expect((await verify()).faults).toEqual([]);
  });

  it("are of months that lie the settings' number of whole months back", async () => {
    const at = (text: string): string => archivedBefore(new Date(text), 13).toISOString().slice(0, 10);
    expect(["2027-03-31T23:59:59Z", "2027-04-01T00:00:00Z", "2028-02-29T12:00:00Z"].map(at)).toEqual([
      ...["2026-02-01", "2026-03-01", "2027-01-01"],
    ]);
    await live();
    const run = (now: string) =>
      archivingJob(database, archives, 13, silent, () => new Date(now)).run({ due: march, since: null, signal: never });
    expect(await run("2028-02-29T12:00:00Z")).toEqual({ outcome: "ok" });
    expect(await files()).toEqual([]);
    expect(await run("2028-03-01T00:00:00Z")).toEqual({ outcome: "ok" });
    expect((await files()).map((file) => file.slice(0, 10))).toEqual(["lines-2027", "readings-2"]);
  });
});

describe("a backup", () => {
  it("holds the archives, or lists them, and a restore brings them and says which are missing", async () => {
    await live();
    await archive();
    const order = { url, release: "0.0.0", now: march, pieceBytes: 1_000_000 };
    const top = await mkdtemp(join(tmpdir(), "archives-backup-"));
    try {
      await takeBackup({ ...order, folder: join(top, "whole"), archives }, silent);
      await takeBackup({ ...order, folder: join(top, "listed") }, silent);
      const [first = ""] = await files();
      const brought = openArchives(join(top, "brought"));
      const target = await server.freshUrl();
      const from = { url: target, folder: join(top, "whole"), dataFolder: null, archives: brought };
      const copy = join(top, "whole", "archives", first);
      await rename(copy, join(top, "away"));
      await expect(restoreBackup(from, silent)).rejects.toThrow(`${first} is missing`);
      await rename(join(top, "away"), copy);
      expect((await restoreBackup(from, silent)).missingArchives).toEqual([]);
      const restored = await server.open(target);
      const whole = { lines: 1000, readings: 20, archives: 4, faults: [] };
      expect(await verifyEvidence(restored, silent, brought)).toMatchObject(whole);
      const other = { ...from, url: await server.freshUrl(), folder: join(top, "listed") };
      const nowhere = openArchives(join(top, "nowhere"));
      expect((await restoreBackup({ ...other, archives: nowhere }, silent)).missingArchives.toSorted()).toEqual(
        await files(),
      );
      expect((await verifyEvidence(await server.open(other.url), silent, nowhere)).faults.join("\n")).toContain(first);
      await writeFile(brought.path(first), "something else");
      await expect(restoreBackup({ ...from, url: await server.freshUrl() }, silent)).rejects.toMatchObject({
        code: "archive-there",
      });
    } finally {
      await rm(top, { recursive: true, force: true });
    }
  });
});

describe("erasing", () => {
  const erased = { when: march, why: "the person asked" };

  it("reaches the lines of a node in archives: no file holds them any more, and chains, hours and days still verify", async () => {
    await live();
    await archive();
    const [nodeId = 0, other = 0] = ids;
    const until = new Date(Date.UTC(2027, 1, 10));
    const all = await sampleRows(database, { nodeId, order: "asc", limit: 10_000 }, archives);
    const others = await sampleRows(database, { nodeId: other, order: "asc", limit: 10_000 }, archives);
    const gone = all.filter(({ at }) => at < until);
    const days = await rollupRows(database, { nodeId, every: "day", limit: 100 });
    expect(await eraseLines(owner, archives, nodeId, until, erased)).toBe(gone.length);
    expect(await eraseLines(owner, archives, nodeId, until, erased)).toBe(0);
    expect(await sampleRows(database, { nodeId, order: "asc", limit: 10_000 }, archives)).toEqual(
      all.slice(gone.length),
    );
    expect(await sampleRows(database, { nodeId: other, order: "asc", limit: 10_000 }, archives)).toEqual(others);
    expect(await rollupRows(database, { nodeId, every: "day", limit: 100 })).toEqual(days);
    expect(await verify()).toMatchObject({
      lines: 1000 - gone.length,
      erasedLines: gone.length,
      archives: 4,
      faults: [],
    });
    expect((await files()).length).toBe(4);
    const left = await ask(
      `select count(*) as n from '${folder}/lines-*.parquet' where node = 'home/0' and at_utc < '2027-02-10 00:00:00+00'`,
    );
    expect(left).toEqual([{ n: "0" }]);
    // The last of a month takes the file with it.
    await eraseLines(owner, archives, other, until, erased);
    expect((await files()).filter((file) => file.startsWith("lines")).length).toBe(1);
    expect((await verify()).faults).toEqual([]);
  });

  it("reaches an account's answers in archives", async () => {
    await live();
    await knowAccount(database, { network: "practice", account: "other" }, "other", true);
    await archive();
    const until = new Date(start + 12 * dayMs);
    expect(await eraseBodies(owner, archives, account, until, erased)).toBe(12);
    expect(await eraseBodies(owner, archives, account, until, erased)).toBe(0);
    const first = await readingRow(database, "1", archives);
    expect(first).toMatchObject({ body: null, erased: { when: march.toISOString(), why: erased.why } });
    expect((await readingRow(database, "20", archives))?.body).toMatch(/"n":19/);
    expect(await verify()).toMatchObject({ readings: 20, erased: 12, faults: [] });
    expect(await ask(`select count(*) as n from '${folder}/readings-*.parquet'`)).toEqual([{ n: "8" }]);
    expect((await files()).filter((file) => file.startsWith("readings")).length).toBe(1);
  });

  it("erases nothing where a file that holds some of it is missing, and names it", async () => {
    await live();
    await archive();
    const file = (await files()).find((name) => name.startsWith("lines-2027-02")) ?? "";
    await rename(archives.path(file), join(folder, "away"));
    const [nodeId = 0] = ids;
    await expect(eraseLines(owner, archives, nodeId, march, erased)).rejects.toMatchObject({
      code: "archive-missing",
      file,
    });
    await rename(join(folder, "away"), archives.path(file));
    expect(await verify()).toMatchObject({ lines: 1000, erasedLines: 0, faults: [] });
  });
});

describe("archiving in disorder", () => {
  it(
    `loses, doubles and changes nothing while ${kills} of its processes and ${kills} that erase are killed`,
    async () => {
      const random = randomFrom(3);
      const months = kills + 2;
      const lines = [0, 1].map(() => lived(randomUUID(), 31 * months, start, 86_400));
      for (const [slot, items] of lines.entries()) await store(slot, items);
      await packClosedDays(database, new Date(start + 40 * months * dayMs), never);
      await knowAccount(database, account, "main", true);
      for (let n = 0; n < months; n++) await answer(n * 30, `{"n":${n}}`);
      const count = lines.flat().length;
      const monthAt = (n: number): string => new Date(Date.UTC(2027, n, 1)).toISOString();
      let [month, killed] = [1, 0];
      // A month of lines and one of answers take 13 steps.
      for (let kill = 0; kill < kills; kill++) {
        const work = `archive ${monthAt(month)}`;
        const step = 1 + Math.floor(random() * 14);
        const through = await Promise.all(kill % 3 === 2 ? [once(work, step), once(work, 0)] : [once(work, step)]);
        const now = await verify();
        expect(now, `kill ${kill} at step ${step}`).toMatchObject({
          lines: count,
          readings: months,
          erased: 0,
          faults: [],
        });
        if (through.includes(false)) killed++;
        if (through.includes(true)) month++;
      }
      await archive(new Date(monthAt(months + 2)));
      expect((await texts()).toSorted()).toEqual(lines.flatMap((items) => items.map(({ text }) => text)).toSorted());
      const [nodeId = 0] = ids;
      let day = start + 10 * dayMs;
      for (let kill = 0; kill < kills; kill++) {
        const step = 1 + Math.floor(random() * 7);
        const through = await once(`erase ${new Date(day).toISOString()}`, step);
        const { faults, lines: left, erasedLines } = await verify();
        expect(faults, `erasing, kill ${kill} at step ${step}`).toEqual([]);
        expect(left + erasedLines).toBe(count);
        if (through) day += 31 * dayMs;
        else killed++;
      }
      expect(killed).toBeGreaterThan(0);
      const end = new Date(Date.UTC(2100, 0, 1));
      await eraseLines(owner, archives, nodeId, end, { when: march, why: "asked" });
      expect(await ask(`select count(*) as n from '${folder}/lines-*.parquet' where node = 'home/0'`)).toEqual([
        { n: "0" },
      ]);
      expect(await verify()).toMatchObject({ lines: count / 2, erasedLines: count / 2, faults: [] });
      const kept = await database.selectFrom("archive").select("file").where("state", "=", "kept").execute();
      expect(await files()).toEqual(kept.map(({ file }) => file).toSorted());
    },
    300_000 + kills * 30_000,
  );
});

/** Runs `work` in a process of its own and kills it within a moment of its `step`th step; returns whether it was through. */
function once(work: string, step: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = fork(program, [work, url, folder], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    let steps = 0;
    child.on("message", () => {
      if (++steps === step) child.kill("SIGKILL");
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (code === 0 || signal === "SIGKILL") resolve(code === 0);
      else reject(new Error(`${work} ended with ${code}`));
    });
  });
}
