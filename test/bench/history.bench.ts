import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { sql } from "kysely";
import { buildServer } from "../../collector/api/server.ts";
import { workloadsIn } from "../../collector/inventory/workloads.ts";
import { referralMetrics } from "../../collector/networks/adapter.ts";
import { practice } from "../../collector/networks/practice/adapter.ts";
import { connectAsOwner, type Database, openDatabase } from "../../collector/store/database.ts";
import { type EmbeddedServer, startEmbedded } from "../../collector/store/embedded.ts";
import { acceptInventory } from "../../collector/store/inventory.ts";
import { storeJournalPart } from "../../collector/store/journals.ts";
import { dropEmptyPartitions, packClosedDays } from "../../collector/store/packing.ts";
import { knowAccount, storeAnswers } from "../../collector/store/readings.ts";
import { inventoryFile, nodeRecord } from "../collector/inventory.ts";
import { type LivedLine, nodeLife, randomFrom } from "../harness/node-life.ts";
import { type BenchContext, type Figure, figure, median } from "./figure.ts";

const fullNodes = 200;
const fullMonths = 60;
const everySeconds = 300;
const dayMs = 86_400_000;
const linesPerPart = 2_000;
const atOnce = 4;
// How often the account is asked, of its 48 times a day: enough for every query to have its range full.
const askedPerDay = 4;
const asksPerQuery = 20;
const account = { network: "practice", account: "main" };
const rules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
const never = new AbortController().signal;
const silent = (): void => undefined;

/**
 * Five years of a fleet, stored as a collector stores them, part by part, packed month by month: bytes a sample with all
 * indexes, hours, days and layers, and the time of every query of the API and the page, asked over HTTP for random nodes
 * and instants. `first` is asked once of a server that has just started, `warm` the same again.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  // A quick look is short in both: a tenth is one node of six months.
  const nodes = Math.max(1, Math.round(fullNodes * scale ** 3));
  const months = Math.max(2, Math.round(fullMonths * scale));
  const earlyMonths = Math.max(1, Math.round(months / 10));
  const folder = await mkdtemp(join(tmpdir(), "gl-bench-"));
  await chmod(folder, 0o755);
  let place = await open(folder);
  try {
    const fleet = await enrol(place.database, nodes);
    const medians: Record<string, number>[] = [];
    let last: Measured = { first: [], warm: [], medians: {} };
    for (let month = 0; month < months; month++) {
      say(`month ${month + 1} of ${months}, ${nodes} nodes`);
      await fleet.live(place.database, monthAt(month + 1));
      if (month + 1 !== earlyMonths && month + 1 !== months) continue;
      const owner = connectAsOwner(place.server.url("postgres"), silent);
      // What the server does by itself in the course of a month.
      await sql`vacuum analyze`.execute(owner);
      await owner.destroy();
      await place.close();
      place = await open(folder);
      say("queries");
      last = await measure(place.app, nodes, monthAt(month + 1));
      medians.push(last.medians);
    }
    const { samples, bytes, packed } = await sizes(place.database);
    yield figure("history", "bytes a sample, with indexes, hours, days and layers", {
      value: bytes / samples,
      unit: "bytes",
      n: samples,
      target: "value <= 70",
    });
    yield figure("history", "bytes a sample, of packs alone", { value: packed / samples, unit: "bytes", n: samples });
    const n = last.warm.length;
    yield figure("history", "query, p95, first", { value: at95(last.first), unit: "ms", n, target: "value <= 100" });
    yield figure("history", "query, p95, warm", { value: at95(last.warm), unit: "ms", n, target: "value <= 20" });
    const [early = {}, late = {}] = medians;
    for (const [name, ms] of Object.entries(late)
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, 3)) {
      yield figure("history", `warm median of ${name}`, { value: ms, unit: "ms", n: asksPerQuery });
    }
    const sum = (of: Record<string, number>): number => Object.values(of).reduce((one, other) => one + other, 0);
    yield figure("history", `all queries, at ${months} months against ${earlyMonths}`, {
      value: sum(late),
      floor: sum(early),
      unit: "ms",
      n: Object.keys(late).length,
      target: "ratio <= 1.5",
    });
    const [worst = ""] = Object.keys(late).toSorted((one, other) => growth(other) - growth(one));
    function growth(name: string): number {
      return (late[name] ?? 0) / (early[name] ?? 1);
    }
    yield figure("history", `the query that grew most: ${worst}`, {
      value: late[worst] ?? 0,
      floor: early[worst] ?? 0,
      unit: "ms",
      n: asksPerQuery,
      target: "ratio <= 1.5",
    });
  } finally {
    await place.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Place {
  readonly server: EmbeddedServer;
  readonly database: Database;
  readonly app: FastifyInstance;
  close(): Promise<void>;
}

async function open(folder: string): Promise<Place> {
  const server = await startEmbedded(join(folder, "postgres"), silent);
  const database = await openDatabase(server.url("postgres"), silent);
  const app = await buildServer({
    database,
    workloads: workloadsIn(null),
    host: "127.0.0.1",
    webRoot: null,
    bell: { listen: () => silent, stop: async () => undefined },
    log: (_level, sentence) => {
      throw new Error(sentence);
    },
    waiting: async () => [],
    metrics: async () => "",
    now: () => new Date(),
  });
  return {
    server,
    database,
    app,
    async close() {
      await app.close();
      await database.destroy();
      await server.stop();
    },
  };
}

function monthAt(month: number): number {
  return Date.UTC(2027, month, 1);
}

/** Makes a fleet known; `live` stores all that its nodes and their network tell until an instant. */
async function enrol(database: Database, nodes: number) {
  const from = new Date(monthAt(0));
  const records = Array.from({ length: nodes }, (_, slot) => nodeRecord(`bench/${slot}`, `m${slot}`, "/nowhere"));
  await acceptInventory(database, inventoryFile(records, from), from);
  await knowAccount(database, account, "main", true);
  const ids = await database.selectFrom("node").select(["id", "slot"]).orderBy("slot").execute();
  const lives = ids.map(({ id, slot }) => {
    const journal = `00000000-0000-4000-8000-${String(slot).padStart(12, "0")}`;
    const lines = nodeLife({ journal, from: from.getTime(), everySeconds, random: randomFrom(slot + 1) });
    return { id, slot, journal, lines, held: [] as LivedLine[], points: 0n };
  });
  let asked = from.getTime();

  const storeUntil = async (on: Database, life: (typeof lives)[number], until: number): Promise<void> => {
    for (;;) {
      const items = life.held.splice(0);
      for (let next = items.at(-1); items.length < linesPerPart && Date.parse(next?.line.at ?? "1970") < until; ) {
        next = life.lines.next().value as LivedLine;
        items.push(next);
      }
      if (Date.parse(items.at(-1)?.line.at ?? "") >= until) life.held.push(...items.splice(-1));
      const [header, machineId] = [headerOf(life.journal, items, until), `m${life.slot}`];
      if (items.length > 0)
        await storeJournalPart(on, { nodeId: life.id, machineId, header, items }, rules, new Date(until));
      if (items.length < linesPerPart - 1) return;
    }
  };

  return {
    async live(on: Database, until: number): Promise<void> {
      const waiting = [...lives];
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          for (let life = waiting.shift(); life !== undefined; life = waiting.shift())
            await storeUntil(on, life, until);
        }),
      );
      for (; asked < until; asked += dayMs / askedPerDay) {
        const told = lives.flatMap((life) => {
          life.points += 31n;
          const one = { networkNodeId: `c-${life.journal}`, day: null, derived: false };
          const verdict = (asked / dayMs + life.slot) % 40 < 1 ? "Disconnected" : "Good";
          return [
            { ...one, metric: "points", value: life.points, text: null },
            { ...one, metric: "verdict", value: null, text: verdict },
          ];
        });
        const own = { networkNodeId: null, day: null, derived: false, text: null };
        const facts = [
          ...told,
          { ...own, metric: referralMetrics.invitee, value: 3n },
          { ...own, metric: referralMetrics.pending, value: 1n },
        ];
        const at = new Date(asked);
        const answer = { call: "nodes", startedAt: at, finishedAt: at, httpStatus: 200, body: "{}", failure: null };
        await storeAnswers(
          on,
          account,
          practice,
          dayMs,
          [{ answer, body: "{}", outcome: "ok", reason: null, facts }],
          at,
        );
      }
      await sql`insert into run (job, due, attempts, claimed_at, finished_at, outcome)
        select 'read practice/main', due, 1, due, due, case when extract(doy from due)::integer % 90 = 0 then 'transient' else 'ok' end
        from generate_series(${new Date(until - 31 * dayMs)}::timestamptz, ${new Date(until)}::timestamptz, interval '30 minutes') due
        on conflict do nothing`.execute(on);
      const now = new Date(until + dayMs / 24);
      await packClosedDays(on, now, never);
      await dropEmptyPartitions(on, now);
    },
  };
}

function headerOf(journal: string, items: readonly LivedLine[], until: number) {
  return { journal, first: 1, last: items.at(-1)?.n ?? 0, now: new Date(until).toISOString() };
}

interface Measured {
  readonly first: readonly number[];
  readonly warm: readonly number[];
  readonly medians: Record<string, number>;
}

async function measure(app: FastifyInstance, nodes: number, now: number): Promise<Measured> {
  const random = randomFrom(now / dayMs);
  const asks = Object.entries(urls).flatMap(([name, url]) =>
    Array.from({ length: asksPerQuery }, () => {
      const node = `bench/${Math.floor(random() * nodes)}`;
      const at = monthAt(0) + Math.floor(random() * (now - monthAt(0) - 8 * dayMs));
      return { name, url: `/api/v1/${url({ node, at, now })}` };
    }),
  );
  const ask = async ({ url }: { url: string }): Promise<number> => {
    const begun = performance.now();
    const answer = await app.inject({ url, headers: { host: "127.0.0.1" } });
    const took = performance.now() - begun;
    if (answer.statusCode !== 200) throw new Error(`${url} answered ${answer.statusCode}: ${answer.body}`);
    return took;
  };
  // In an order in which no query warms the next.
  const shuffled = asks.map((one) => ({ one, key: random() })).toSorted((one, other) => one.key - other.key);
  const [first, warm]: number[][] = [[], []];
  const times = new Map<string, number[]>();
  for (const { one } of shuffled) first?.push(await ask(one));
  for (let round = 0; round < 2; round++) {
    for (const { one } of shuffled) {
      const took = await ask(one);
      warm?.push(took);
      times.set(one.name, [...(times.get(one.name) ?? []), took]);
    }
  }
  const medians = Object.fromEntries([...times].map(([name, all]) => [name, median(all)]));
  return { first: first ?? [], warm: warm ?? [], medians };
}

interface Asked {
  readonly node: string;
  readonly at: number;
  readonly now: number;
}

const time = (at: number): string => encodeURIComponent(new Date(at).toISOString());
const range = (from: number, days: number): string => `from=${time(from)}&to=${time(from + days * dayMs)}`;

/** Every query of the API, and what the page asks for. */
const urls: Readonly<Record<string, (asked: Asked) => string>> = {
  "the fleet": () => "nodes",
  "nodes of a verdict": () => "nodes?layer.verdict=Disconnected",
  "a node": ({ node }) => `nodes/${node}`,
  "newest lines": ({ node }) => `nodes/${node}/samples`,
  "newest events": ({ node }) => `nodes/${node}/samples?kind=event&order=desc&limit=50`,
  "lines of a day": ({ node, at }) => `nodes/${node}/samples?order=asc&limit=500&${range(at, 1)}`,
  "lines from an instant on": ({ node, at }) => `nodes/${node}/samples?order=asc&kind=sample&from=${time(at)}`,
  "events of a month": ({ node, at }) => `nodes/${node}/samples?kind=event&${range(at, 30)}`,
  "hours of a week": ({ node, at }) => `nodes/${node}/rollups?every=hour&limit=200&${range(at, 7)}`,
  "days of a year": ({ node, now }) => `nodes/${node}/rollups?every=day&limit=400&from=${time(now - 365 * dayMs)}`,
  "layers of a month": ({ node, now }) => `nodes/${node}/states?from=${time(now - 30 * dayMs)}`,
  "layers of a past month": ({ node, at }) => `nodes/${node}/states?${range(at, 30)}`,
  "a layer": ({ node }) => `nodes/${node}/states?layer=verdict`,
  "a node's rewards": ({ node }) => `nodes/${node}/rewards`,
  "a node's points in a range": ({ node, at }) => `nodes/${node}/rewards?metric=points&${range(at, 7)}`,
  "a node's gaps": ({ node }) => `nodes/${node}/gaps`,
  incarnations: ({ node }) => `nodes/${node}/incarnations`,
  workload: () => "groups/bench/workload",
  rewards: () => "rewards",
  "rewards of a metric": () => `rewards?network=practice&metric=points`,
  "rewards of accounts": () => `rewards?about=account&metric=${referralMetrics.pending}`,
  "rewards in a range": ({ at }) => `rewards?${range(at, 1)}`,
  "rewards of a day that has none": ({ at }) => `rewards?day=${new Date(at).toISOString().slice(0, 10)}`,
  "an account's rewards": () => "accounts/practice/main/rewards",
  referrals: () => "referrals",
  "a reading": ({ at }) => `readings/${1 + (at % 100)}`,
  runs: () => "runs",
  "runs of a job in a range": ({ at }) => `runs?job=${encodeURIComponent("read practice/main")}&${range(at, 2)}`,
  "runs of an outcome": () => "runs?outcome=transient",
  "runs of no outcome": () => "runs?outcome=blocked",
  gaps: () => "gaps",
};

async function sizes(database: Database): Promise<{ samples: number; bytes: number; packed: number }> {
  const { rows } = await sql<{ samples: string; bytes: string; packed: string }>`
    select (select sum(samples) from line_pack) + (select count(*) from sample where kind = 'sample') as samples,
      (select sum(pg_total_relation_size(relid)) from (
        select relid from pg_partition_tree('sample') union all
        select unnest(array['line_pack', 'node_hour', 'node_day', 'layer_interval', 'node_event', 'gap', 'journal']::regclass[])
      ) of_lines) as bytes,
      pg_total_relation_size('line_pack') as packed`.execute(database);
  const [found] = rows;
  return { samples: Number(found?.samples), bytes: Number(found?.bytes), packed: Number(found?.packed) };
}

function at95(times: readonly number[]): number {
  return times.toSorted((one, other) => one - other)[Math.floor((times.length - 1) * 0.95)] ?? 0;
}
