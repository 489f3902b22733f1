import { randomUUID } from "node:crypto";
import { setTimeout as passed } from "node:timers/promises";
import { sql } from "kysely";
import pg from "pg";
import { beforeEach, describe, expect, it } from "vitest";
import { encodeLine, type JournalLine } from "../../../cloud-init/agent/line.ts";
import { packingJob } from "../../../collector/journal/packing.ts";
import { connectAsOwner, type Database, openDatabase } from "../../../collector/store/database.ts";
import { eraseLines } from "../../../collector/store/erase.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { storeJournalPart } from "../../../collector/store/journals.ts";
import { packLines } from "../../../collector/store/pack.ts";
import { dropEmptyPartitions, packClosedDays } from "../../../collector/store/packing.ts";
import { rebuildOne } from "../../../collector/store/rollups.ts";
import { verifyEvidence } from "../../../collector/store/verify.ts";
import { nodeIdOf, rollupRows, sampleRows } from "../../../collector/store/views.ts";
import { type LivedLine, nodeLife, randomFrom } from "../../harness/node-life.ts";
import { noArchives, serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const kills = Number(process.env.PACKING_KILLS ?? 20);
const server = serverForFile();
const start = Date.UTC(2027, 0, 30, 18);
const dayMs = 86_400_000;
const rules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
const never = new AbortController().signal;
const silent = (): void => undefined;
let database: Database;
let url = "";
let nodeId = 0;

beforeEach(async () => {
  ({ database, url } = await server.fresh());
  const now = new Date(start);
  await acceptInventory(database, inventoryFile([nodeRecord("home/0", "m", "/nowhere")], now), now);
  nodeId = (await nodeIdOf(database, "home/0")) ?? 0;
});

/** A few days of a node; `at` moves the instant of a line. */
function lived(journal: string, count: number, everySeconds = 1800): LivedLine[] {
  const life = nodeLife({ journal, from: start, everySeconds, random: randomFrom(7) });
  return Array.from({ length: count }, () => life.next().value as LivedLine);
}

/** The same lines with other instants. */
function moved(lines: readonly LivedLine[], instants: readonly (string | number)[]): LivedLine[] {
  return lines.map((one, index) => {
    const line: JournalLine = { ...one.line, at: new Date(instants[index] ?? 0).toISOString() };
    return { ...one, line, text: encodeLine(line) };
  });
}

async function store(items: readonly LivedLine[], on = database): Promise<void> {
  const journal = items[0]?.line.j ?? "";
  const header = { journal, first: 1, last: items.at(-1)?.n ?? 0, now: new Date(start).toISOString() };
  await storeJournalPart(on, { nodeId, machineId: "m", header, items }, rules, new Date(start));
}

const pack = (days: number) => packClosedDays(database, new Date(start + days * dayMs), never);
const faults = async (): Promise<readonly string[]> => (await verifyEvidence(database, silent)).faults;
const packs = () =>
  database
    .selectFrom("line_pack")
    .select(["first_n", "last_n", "day", "samples", "events"])
    .orderBy("journal_id")
    .orderBy("first_n")
    .execute();
const loose = async (): Promise<number> =>
  Number((await database.selectFrom("sample").select(sql<string>`count(*)`.as("n")).executeTakeFirstOrThrow()).n);

/** Every way of asking for lines that differs in what it has to read, and paging through all of them. */
async function answers() {
  const found: Record<string, unknown> = {};
  const [from, to] = [new Date(start + 0.7 * dayMs), new Date(start + 2.6 * dayMs)];
  for (const order of ["asc", "desc"] as const) {
    for (const kind of [undefined, "sample", "event"] as const) {
      const of = kind === undefined ? {} : { kind };
      const all = await sampleRows(database, { nodeId, order, ...of, limit: 10_000 });
      const name = `${order} ${kind}`;
      found[name] = all;
      found[`${name} range`] = await sampleRows(database, { nodeId, order, ...of, from, to, limit: 10_000 });
      const paged = [];
      for (let last = all[-1]; ; last = paged.at(-1)) {
        const after = last === undefined ? {} : { after: { at: last.at, journal: last.journal_id, n: last.n } };
        const page = await sampleRows(database, { nodeId, order, ...of, ...after, limit: 37 });
        paged.push(...page);
        if (page.length < 37) break;
      }
      expect(paged, name).toEqual(all);
    }
  }
  return found;
}

describe("packing closed days", () => {
  it("leaves every answer, sum and proof as it was", async () => {
    const [journal, drained] = [randomUUID(), randomUUID()];
    const lines = lived(journal, 300);
    await store(lines);
    // Another journal of the same days, and one that goes back and forth over midnight.
    const midnight = Math.ceil(start / dayMs) * dayMs;
    const zigzag = lived(drained, 40, 600);
    await store(
      moved(
        zigzag,
        zigzag.map((_, index) => midnight + (index % 7) * dayMs - (index % 3) * 5_000 + index),
      ),
    );
    const before = await answers();
    const rollups = await rollupRows(database, { nodeId, every: "hour", limit: 1000 });

    expect(await pack(3)).toMatchObject({ packs: expect.any(Number) });
    expect(await loose()).toBeGreaterThan(0);
    expect(await answers()).toEqual(before);
    expect(await faults()).toEqual([]);
    await pack(30);
    expect(await loose()).toBe(0);
    expect(await pack(30)).toEqual({ packs: 0, lines: 0 });
    expect(await answers()).toEqual(before);
    expect(await verifyEvidence(database, silent)).toMatchObject({ lines: 340, erasedLines: 0, faults: [] });

    await database.updateTable("node_latest").set({ rolled_up: false }).execute();
    expect(await rebuildOne(database)).toBe(true);
    expect(await rollupRows(database, { nodeId, every: "hour", limit: 1000 })).toEqual(rollups);
  });

  it("packs a day when its journal has gone on, one of a silent node a day later, and late lines apart", async () => {
    const lines = lived(randomUUID(), 60, 3600);
    await store(lines.slice(0, 10));
    expect((await pack(1)).packs).toBe(1);
    const ends = (await packs()).map(({ last_n }) => Number(last_n));
    expect(await loose()).toBe(10 - (ends[0] ?? 0));
    expect((await pack(2.3)).packs).toBe(1);
    expect(await loose()).toBe(0);
    // The rest of the second day comes when the node is back.
    await store(lines.slice(10));
    await pack(30);
    const days = (await packs()).map(({ day }) => day);
    expect(days.filter((day) => day === "2027-01-31")).toHaveLength(2);
    expect(await loose()).toBe(0);
    const texts = (await sampleRows(database, { nodeId, order: "asc", limit: 100 })).map(({ line }) => line);
    expect(texts.toSorted()).toEqual(lines.map(({ text }) => text).toSorted());
    expect(await faults()).toEqual([]);
  });

  it("takes days of clocks that were never set, and holes in a journal's numbers", async () => {
    const days = [
      "1970-01-01",
      "2027-01-30",
      "2150-05-05",
      "2027-01-31",
      "0001-01-01",
      "0000-05-06",
      "+012345-06-07",
      "2027-02-02",
    ];
    const lines = moved(
      lived(randomUUID(), 10).toSpliced(3, 2),
      days.map((at) => `${at}T00:00:00.001Z`),
    );
    await store(lines);
    await pack(30);
    expect(await loose()).toBe(0);
    expect((await packs()).map(({ first_n }) => Number(first_n))).toEqual([1, 2, 3, 6, 7, 8, 9, 10]);
    const texts = (await sampleRows(database, { nodeId, order: "asc", limit: 10 })).map(({ line }) => line);
    expect(texts.toSorted()).toEqual(lines.map(({ text }) => text).toSorted());
    expect(await faults()).toEqual([]);
  });

  it("splits a day of very many lines", async () => {
    const lines = lived(randomUUID(), 2_300, 10);
    await store(
      moved(
        lines,
        lines.map((_, index) => start + index),
      ),
    );
    await pack(3);
    expect((await packs()).map(({ samples, events }) => samples + events)).toEqual([1000, 1000, 300]);
    expect(await faults()).toEqual([]);
  });

  it("is a job of the schedule, and what a stopped run has not done stays to be done", async () => {
    await store(lived(randomUUID(), 200));
    const job = packingJob(database, silent, () => new Date(start + 40 * dayMs));
    const stop = new AbortController();
    stop.abort(new Error("stopped"));
    const due = { due: new Date(start), since: null };
    await expect(job.run({ ...due, signal: stop.signal })).rejects.toThrow("stopped");
    expect(await loose()).toBe(200);
    expect(await job.run({ ...due, signal: never })).toEqual({ outcome: "ok" });
    expect(await loose()).toBe(0);
  });
});

describe("packed lines", () => {
  it("cannot be changed, deleted or put in other lines' place by the collector's own role", async () => {
    await store(lived(randomUUID(), 100));
    await pack(1);
    for (const statement of [
      "update sample set line = '{}'",
      "delete from sample",
      "delete from sample_2027_01",
      "update line_pack set erased = '{}'",
      "delete from line_pack",
      "insert into line_pack select * from line_pack",
    ])
      await expect(sql.raw(statement).execute(database), statement).rejects.toMatchObject({ code: "42501" });
    const owner = connectAsOwner(url, silent);
    for (const statement of [
      "update sample set at = now()",
      "delete from sample",
      "update line_pack set day = now()",
      "delete from line_pack",
    ])
      await expect(sql.raw(statement).execute(owner), statement).rejects.toMatchObject({ code: "23001" });
    await owner.destroy();
    expect(await faults()).toEqual([]);
  });

  it("are what was there, or nothing is packed", async () => {
    const lines = lived(randomUUID(), 40);
    await store(lines);
    const [last] = await database
      .selectFrom("sample")
      .select("n")
      .where("at", "<", new Date("2027-01-31"))
      .orderBy("n", "desc")
      .limit(1)
      .execute();
    const forged = packLines(
      lines.map(({ n, line, text }) => ({
        n,
        at: 0,
        boot: "b",
        monoMs: 1,
        everyS: 1,
        line: text.replace(line.boot, "x"),
      })),
    );
    const put = (first: number, until: number, day: string) =>
      sql`select pack_lines(1, ${first}, ${until}, ${day}::date, 1::smallint, ${forged}, null, ${Buffer.alloc(32)})`.execute(
        database,
      );
    const end = Number(last?.n);
    await expect(put(1, end, "2027-01-30")).rejects.toMatchObject({ code: "23514" });
    await expect(put(2, end, "2027-01-30")).rejects.toMatchObject({ code: "55000" });
    await expect(put(1, end + 1, "2027-01-30")).rejects.toMatchObject({ code: "55000" });
    await expect(put(1, end - 1, "2027-01-31")).rejects.toMatchObject({ code: "55000" });
    expect([await loose(), await packs()]).toEqual([40, []]);
  });

  it.each([
    [
      "other bytes",
      "update line_pack set sample_lines = (select sample_lines from line_pack order by first_n desc limit 1) where first_n = 1",
      /does not hold the lines/,
    ],
    [
      "a damaged pack",
      "update line_pack set sample_lines = substr(sample_lines, 1, 90) where first_n = 1",
      /cannot be unpacked/,
    ],
    [
      "another count",
      "update line_pack set from_at = from_at - interval '1 second' where first_n = 1",
      /says other things/,
    ],
    ["a pack that went", "delete from line_pack where first_n = 1", /does not hold the lines/],
    [
      "the last pack gone",
      "delete from line_pack where first_n = (select max(first_n) from line_pack)",
      /end at line \d+, and it says/,
    ],
  ])("show %s", async (_what, statement, fault) => {
    await store(lived(randomUUID(), 150));
    await pack(30);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query("set session_replication_role = replica");
    await client.query(statement);
    await client.end();
    expect((await faults()).join("\n")).toMatch(fault);
  });

  it("may be erased for good with the days they are of, and chains, hours and days still verify", async () => {
    const lines = lived(randomUUID(), 200);
    await store(lines);
    await pack(1);
    const rollups = await rollupRows(database, { nodeId, every: "day", limit: 100 });
    const until = new Date("2027-02-02T00:00:00Z");
    const gone = lines.filter(({ line }) => line.at < until.toISOString()).length;
    const owner = connectAsOwner(url, silent);
    const erased = { when: new Date(start), why: "the person asked" };
    expect(await eraseLines(owner, noArchives, nodeId, until, erased)).toBe(gone);
    expect(await eraseLines(owner, noArchives, nodeId, until, erased)).toBe(0);
    await expect(sql`update line_pack set erased = null`.execute(owner)).rejects.toThrow(/never changed/);
    await owner.destroy();
    expect(await verifyEvidence(database, silent)).toMatchObject({ lines: 200 - gone, erasedLines: gone, faults: [] });
    const left = await sampleRows(database, { nodeId, order: "asc", limit: 1000 });
    expect(left.map(({ line }) => line)).toEqual(lines.slice(gone).map(({ text }) => text));
    expect(
      (await database.selectFrom("line_pack").select("erased").orderBy("first_n").limit(1).executeTakeFirst())?.erased,
    ).toEqual({
      when: erased.when.toISOString(),
      why: erased.why,
    });
    await database.updateTable("node_latest").set({ rolled_up: false }).execute();
    await rebuildOne(database);
    expect(await rollupRows(database, { nodeId, every: "day", limit: 100 })).toEqual(rollups);
    // The journal goes on.
    await store(lived(lines[0]?.line.j ?? "", 230).slice(200));
    await pack(60);
    expect(await faults()).toEqual([]);
  });
});

describe("months that packing leaves empty", () => {
  it("go, and come back for a late line of a collector that does not know", async () => {
    const other = await openDatabase(url, silent);
    const first = lived(randomUUID(), 300);
    await store(first, other);
    expect(await dropEmptyPartitions(database, new Date(Date.UTC(2027, 2, 1)))).toBe(0);
    await pack(60);
    expect(await dropEmptyPartitions(database, new Date(Date.UTC(2027, 1, 28)))).toBe(1);
    expect(await dropEmptyPartitions(database, new Date(Date.UTC(2027, 2, 1)))).toBe(1);
    const late = lived(randomUUID(), 5);
    await store(late, other);
    await other.destroy();
    expect(await loose()).toBe(5);
    expect(await dropEmptyPartitions(database, new Date(Date.UTC(2027, 3, 1)))).toBe(0);
    expect(await faults()).toEqual([]);
  });
});

describe("packing in disorder", () => {
  it(
    `loses, doubles and changes nothing while lines come, collectors pack together and ${kills} of their sessions die`,
    async () => {
      const random = randomFrom(5);
      const lines = lived(randomUUID(), 400 + 20 * kills, 3600);
      const killer = new pg.Client({ connectionString: url });
      await killer.connect();
      const collectors = await Promise.all([1, 2, 3].map(() => openDatabase(url, silent)));
      const stop = new AbortController();
      let [killed, from] = [0, 0];
      const loop = async (work: (index: number) => Promise<unknown>): Promise<void> => {
        for (let index = 0; !stop.signal.aborted; index++) {
          try {
            await work(index);
          } catch (error) {
            // The session was ended under it: 57P01, or a connection that is no more.
            if (!/terminat|ECONNRESET|not queryable/.test(String(error))) throw error;
          }
        }
      };
      const packing = collectors.map((one) =>
        loop(() => packClosedDays(one, new Date(start + 900 * dayMs), stop.signal)),
      );
      const storing = loop(async () => {
        const [one = database] = collectors;
        if (from >= lines.length) return passed(5);
        const size = 1 + Math.floor(random() * 60);
        await store(lines.slice(from, from + size), one);
        from += size;
      });
      const killing = loop(async () => {
        if (killed >= kills && from >= lines.length) return stop.abort();
        await passed(20 + Math.floor(random() * 100));
        if (killed >= kills) return;
        const { rowCount } = await killer.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle' order by random() limit 1`,
        );
        killed += rowCount ?? 0;
      });
      await Promise.all([...packing, storing, killing]);
      for (const one of collectors) await one.destroy();
      await killer.end();
      await pack(900);
      expect(await loose()).toBe(0);
      expect(
        (await sampleRows(database, { nodeId, order: "asc", limit: 100_000 })).map(({ line }) => line).toSorted(),
      ).toEqual(lines.map(({ text }) => text).toSorted());
      expect(await faults()).toEqual([]);
    },
    300_000 + kills * 10_000,
  );
});
