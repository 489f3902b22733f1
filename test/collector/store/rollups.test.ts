import { randomUUID } from "node:crypto";
import { sql } from "kysely";
import { beforeEach, describe, expect, it } from "vitest";
import { encodeLine, type JournalLine } from "../../../cloud-init/agent/line.ts";
import type { Database } from "../../../collector/store/database.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { storeJournalPart } from "../../../collector/store/journals.ts";
import { preparePartitionsAhead } from "../../../collector/store/partitions.ts";
import { rebuildOne } from "../../../collector/store/rollups.ts";
import { verifyEvidence } from "../../../collector/store/verify.ts";
import { nodeIdOf, rollupRows, sampleRows } from "../../../collector/store/views.ts";
import { serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const server = serverForFile();
const start = Date.UTC(2027, 0, 31, 20);
const rules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
let database: Database;
let nodeId = 0;

beforeEach(async () => {
  ({ database } = await server.fresh());
  const now = new Date(start);
  await acceptInventory(database, inventoryFile([nodeRecord("home/0", "m", "/nowhere")], now), now);
  nodeId = (await nodeIdOf(database, "home/0")) ?? 0;
});

/** Returns pseudo-random numbers from 0 up to 1, the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

async function store(journal: string, lines: readonly JournalLine[]): Promise<void> {
  const items = lines.map((line) => ({ kind: "line" as const, n: line.n, line, text: encodeLine(line) }));
  const last = lines.at(-1)?.n ?? 0;
  const header = { journal, first: 1, last, now: new Date(start).toISOString() };
  await storeJournalPart(database, { nodeId, machineId: "m", header, items }, rules, new Date(start));
}

/** Lines over two days and the end of a month, some of them events, some without this measure or that. */
function linesOf(journal: string, count: number, random: () => number): JournalLine[] {
  return Array.from({ length: count }, (_, index) => {
    const sample = random() < 0.8;
    const line = {
      v: 1,
      j: journal,
      n: index + 1,
      boot: "b",
      at: new Date(start + index * 300_000 + Math.floor(random() * 900_000) - 600_000).toISOString(),
      mono_ms: index,
      kind: sample ? "sample" : "event",
      every_s: random() < 0.9 ? 300 : 0.5,
      ...(sample ? {} : { event: { name: "noted" } }),
      ...(random() < 0.8
        ? {
            runtime: {
              state: random() < 0.5 ? "up" : "down",
              restarts: index % 7,
              pss_bytes: Math.floor(random() * 2 ** 45),
            },
          }
        : {}),
      ...(random() < 0.5 ? { app: { state: random() < 0.5 ? "up" : "down" } } : {}),
      ...(random() < 0.5
        ? {
            machine: {
              mem_available_bytes: Math.floor(random() * 2 ** 40),
              disk_free_bytes: random() < 0.5 ? "full" : index,
            },
          }
        : {}),
    };
    return line as unknown as JournalLine;
  });
}

/** The same sums, by the database from the lines alone. */
async function recount(length: "hour" | "day") {
  const { rows } = await sql<Record<string, unknown>>`
    select date_trunc(${length}, at, 'UTC') as at,
      count(*) filter (where kind = 'sample')::int as samples, count(*) filter (where kind = 'event')::int as events,
      coalesce(sum(every_s * 1000) filter (where kind = 'sample'), 0)::bigint as covered_ms,
      count(*) filter (where kind = 'sample' and line #>> '{runtime,state}' = 'up')::int as runtime_up,
      count(*) filter (where kind = 'sample' and line #>> '{runtime,state}' is not null)::int as runtime_told,
      count(*) filter (where kind = 'sample' and line #>> '{app,state}' = 'up')::int as app_up,
      count(*) filter (where kind = 'sample' and line #>> '{app,state}' is not null)::int as app_told,
      max((line #>> '{runtime,restarts}')::bigint) filter (where kind = 'sample') as restarts_max,
      count(line #>> '{runtime,pss_bytes}') filter (where kind = 'sample')::int as pss_count,
      coalesce(sum((line #>> '{runtime,pss_bytes}')::numeric) filter (where kind = 'sample'), 0)::text as pss_sum,
      max((line #>> '{runtime,pss_bytes}')::bigint) filter (where kind = 'sample') as pss_max,
      min((line #>> '{machine,mem_available_bytes}')::bigint) filter (where kind = 'sample') as memory_available_min,
      min((line #>> '{machine,disk_free_bytes}')::bigint) filter (where kind = 'sample' and line #>> '{machine,disk_free_bytes}' <> 'full') as disk_free_min
    from sample group by 1 order by 1`.execute(database);
  return rows;
}

const stored = async (every: "hour" | "day") =>
  (await rollupRows(database, { nodeId, every, limit: 10_000 })).map(({ node_id: _node, ...row }) => row);

describe("hours and days", () => {
  it("are what a recount of the lines gives, in whatever parts these came, and can be made anew", async () => {
    const random = randomFrom(11);
    const journal = randomUUID();
    const lines = linesOf(journal, 600, random);
    for (let from = 0; from < lines.length; ) {
      const size = 1 + Math.floor(random() * 90);
      await store(journal, lines.slice(from, from + size));
      // A part that comes twice counts once.
      if (random() < 0.3) await store(journal, lines.slice(from, from + size));
      from += size;
    }
    const [hours, days] = [await recount("hour"), await recount("day")];
    expect(hours.length).toBeGreaterThan(45);
    expect(await stored("hour")).toEqual(hours);
    expect(await stored("day")).toEqual(days);
    expect((await verifyEvidence(database, () => undefined)).faults).toEqual([]);
    await database.updateTable("node_hour").set({ samples: 0 }).execute();
    expect((await verifyEvidence(database, () => undefined)).faults[0]).toMatch(/rows of home\/0's hours are not/);
    await database.updateTable("node_latest").set({ rolled_up: false }).execute();
    expect(await rebuildOne(database)).toBe(true);
    expect(await rebuildOne(database)).toBe(false);
    expect(await stored("hour")).toEqual(hours);
    expect(await stored("day")).toEqual(days);
  });
});

describe("the partitions of lines", () => {
  const partitions = async (): Promise<string[]> =>
    (
      await sql<{ name: string }>`
        select inhrelid::regclass::text as name from pg_inherits where inhparent = 'sample'::regclass order by 1`.execute(
        database,
      )
    ).rows.map(({ name }) => name);

  it("are made ahead, by several collectors at once", async () => {
    await Promise.all([1, 2, 3].map(() => preparePartitionsAhead(database, new Date(Date.UTC(2027, 10, 30)))));
    expect(await partitions()).toEqual([
      "sample_2027_11",
      "sample_2027_12",
      "sample_2028_01",
      "sample_early",
      "sample_late",
    ]);
  });

  it("take late lines, and those of a clock that was never set, and are read in order across all of them", async () => {
    const journal = randomUUID();
    const instants = ["1970-01-01", "2026-12-31", "2027-01-01", "2027-02-10", "2150-05-05"];
    const lines = instants.map((day, index) => ({
      v: 1,
      j: journal,
      n: index + 1,
      boot: "b",
      at: `${day}T12:00:00.000Z`,
      mono_ms: 1,
      kind: "sample" as const,
      every_s: 300,
    }));
    await store(journal, lines);
    expect(await partitions()).toEqual([
      "sample_2026_12",
      "sample_2027_01",
      "sample_2027_02",
      "sample_early",
      "sample_late",
    ]);
    const days = async (order: "asc" | "desc"): Promise<string[]> =>
      (await sampleRows(database, { nodeId, order, limit: 10 })).map(({ at }) => at.toISOString().slice(0, 10));
    expect(await days("asc")).toEqual(instants);
    expect(await days("desc")).toEqual(instants.toReversed());
    const january = { from: new Date("2027-01-01T00:00:00Z"), to: new Date("2027-02-01T00:00:00Z") };
    const rows = await sampleRows(database, { nodeId, order: "asc", limit: 10, ...january });
    expect(rows.map(({ n }) => n)).toEqual(["3"]);
  });
});
