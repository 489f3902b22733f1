import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { sql } from "kysely";
import pg from "pg";
import { decodeLine } from "../../cloud-init/agent/line.ts";
import { buildServer } from "../../collector/api/server.ts";
import { workloadsIn } from "../../collector/inventory/workloads.ts";
import { referralMetrics } from "../../collector/networks/adapter.ts";
import { practice } from "../../collector/networks/practice/adapter.ts";
import { type Timeline, withChange } from "../../collector/states/timeline.ts";
import { changeOfVerdict } from "../../collector/states/verdict.ts";
import { openArchives } from "../../collector/store/archive/archives.ts";
import { type Database, openDatabase } from "../../collector/store/database.ts";
import { type EmbeddedServer, startEmbedded } from "../../collector/store/embedded.ts";
import { acceptInventory } from "../../collector/store/inventory.ts";
import { storeJournalPart } from "../../collector/store/journals.ts";
import { dropEmptyPartitions, packClosedDays } from "../../collector/store/packing.ts";
import { knowAccount, storeAnswers } from "../../collector/store/readings.ts";
import { verifyEvidence } from "../../collector/store/verify.ts";
import { inventoryFile, nodeRecord } from "../collector/inventory.ts";
import { randomFrom } from "../harness/node-life.ts";
import { type BenchContext, type Figure, figure, median } from "./figure.ts";
import { openPast, type Past, type PastNode } from "./history-past.ts";

const fullNodes = 200;
const fullMonths = 60;
/** Nodes beyond so many have the past of one of these, byte for byte: to make it is what takes longest. */
const mostLives = 5;
const everySeconds = 300;
const dayMs = 86_400_000;
/** The newest days go line by line through all that a collector does; what is older is put in place as closed days. */
const wholeDays = 2;
const linesPerPart = 144;
const atOnce = 4;
// How often the account is asked, of its 48 times a day: enough for every query to have its range full.
const askedPerDay = 4;
const asksPerQuery = 20;
const mostNodesToVerify = 2;
const account = { network: "practice", account: "main" };
const rules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
const never = new AbortController().signal;
const silent = (): void => undefined;

/**
 * Five years of a fleet in a database: bytes a sample with all indexes, hours, days and layers, and the time of every
 * query of the API and the page, asked over HTTP for random nodes and instants. `first` is asked once of a server that
 * has just started, `warm` the same again. Growth is against another database, of the first tenth of the time.
 *
 * The last two days of each are stored as a collector stores them, pull by pull, and packed day by day. The days before
 * are closed when they come: their packs, chains and sums are made by the product's own functions and put into their
 * tables directly, because storing each of 105 million lines first as a row takes many hours; and five lives of noise are
 * made, each of which 40 of the 200 nodes keep as their own. A quick look, of one node, verifies all of it as evidence.
 */
export async function* bench({ scale, keep, say }: BenchContext): AsyncIterable<Figure> {
  // A quick look is short in both: a tenth is one node of six months.
  const nodes = Math.max(1, Math.round(fullNodes * scale ** 3));
  const months = Math.max(2, Math.round(fullMonths * scale));
  const earlyMonths = Math.max(1, Math.round(months / 10));
  const early = await lived(nodes, earlyMonths, keep, say);
  const late = await lived(nodes, months, keep, say);
  const { samples } = late.sizes;
  yield figure("history", "bytes a sample, with indexes, hours, days and layers", {
    value: late.sizes.bytes / samples,
    unit: "bytes",
    n: samples,
    target: "value <= 70",
  });
  for (const [name, bytes] of Object.entries(late.sizes.parts))
    yield figure("history", `bytes a sample, of ${name}`, { value: bytes / samples, unit: "bytes", n: samples });
  const { times } = late;
  for (const [moment, limit] of [
    ["first", 100],
    ["warm", 20],
  ] as const) {
    const target = `value <= ${limit}` as const;
    for (const [name, own] of Object.entries(times)) {
      const value = at95(own[moment]);
      yield figure("history", `${name}, p95, ${moment}`, { value, unit: "ms", n: own[moment].length, target });
    }
    const all = Object.values(times).flatMap((own) => own[moment]);
    yield figure("history", `all queries, p95, ${moment}`, { value: at95(all), unit: "ms", n: all.length, target });
  }
  const mediansOf = ({ times: of }: Measured): Record<string, number> =>
    Object.fromEntries(Object.entries(of).map(([name, { warm }]) => [name, median(warm)]));
  const [before, now] = [mediansOf(early), mediansOf(late)];
  const sum = (of: Record<string, number>): number => Object.values(of).reduce((one, other) => one + other, 0);
  yield figure("history", `all queries, at ${months} months against ${earlyMonths}`, {
    value: sum(now),
    floor: sum(before),
    unit: "ms",
    n: Object.keys(now).length,
    target: "ratio <= 1.5",
  });
  const growth = (name: string): number => (now[name] ?? 0) / (before[name] ?? 1);
  const [worst = ""] = Object.keys(now).toSorted((one, other) => growth(other) - growth(one));
  yield figure("history", `the query that grew most: ${worst}`, {
    value: now[worst] ?? 0,
    floor: before[worst] ?? 0,
    unit: "ms",
    n: asksPerQuery,
    target: "ratio <= 1.5",
  });
}

/** Fills a database with so many months, or takes the one that is kept, and measures it once its server has started anew. */
async function lived(nodes: number, months: number, keep: string | null, say: (text: string) => void) {
  const folder = await folderFor(nodes, months, keep);
  const whole = join(folder, "whole");
  try {
    if (!existsSync(whole)) {
      const place = await open(folder);
      try {
        await fill(place, nodes, months, (what) => say(`${what} of ${months} months, ${nodes} nodes`));
      } finally {
        await place.close();
      }
      await writeFile(whole, "");
    }
    const place = await open(folder);
    try {
      say(`queries at ${months} months`);
      const measured = await measure(place.app, nodes, monthAt(months));
      return { ...measured, sizes: await sizes(place.database) };
    } finally {
      await place.close();
    }
  } finally {
    if (keep === null) await rm(folder, { recursive: true, force: true });
  }
}

/** Returns a folder for a database: one that is kept and whole as it is, any other one empty. */
async function folderFor(nodes: number, months: number, keep: string | null): Promise<string> {
  const folder =
    keep === null ? await mkdtemp(join(tmpdir(), "gl-bench-")) : join(keep, `${nodes}-nodes-${months}-months`);
  if (!existsSync(join(folder, "whole"))) await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
  return folder;
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
    archives: openArchives(join(folder, "archives")),
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

/** Fills the database with what nodes and their network tell in so many months. */
async function fill(place: Place, nodes: number, months: number, say: (text: string) => void): Promise<void> {
  const { database } = place;
  const from = monthAt(0);
  const end = monthAt(months);
  const records = Array.from({ length: nodes }, (_, slot) => nodeRecord(`bench/${slot}`, `m${slot}`, "/nowhere"));
  await acceptInventory(database, inventoryFile(records, new Date(from)), new Date(from));
  await knowAccount(database, account, "main", true);
  const rows = await database.selectFrom("node").select(["id", "slot"]).orderBy("slot").execute();
  const fleet = rows.map(({ id, slot }) => ({ id, slot, life: slot % mostLives, journal: journalOf(slot) }));
  const owner = new pg.Client({ connectionString: place.server.url("postgres") });
  await owner.connect();
  try {
    await owner.query("set timezone = 'UTC'");
    const past = await openPast(owner, fleet, { from, everySeconds, rules });
    try {
      const closed = end - wholeDays * dayMs;
      const untils = Array.from({ length: months }, (_, month) => Math.min(monthAt(month + 1), closed));
      let month = 0;
      let asked = from;
      await past.pack(untils, async (until) => {
        say(`month ${++month}`);
        if (month === 1) await ask(database, fleet, from, from);
        await putAnswers(owner, fleet, from, asked + (month === 1 ? dayMs / askedPerDay : 0), until);
        asked = until;
        await putRuns(owner, until);
      });
      for (let day = closed; day < end; day += dayMs) {
        say(`day ${(day - closed) / dayMs + 1} of the last ${wholeDays}`);
        await storeDay(database, past, day + dayMs);
        await putAnswers(owner, fleet, from, day, day + dayMs);
        const now = new Date(day + dayMs + dayMs / 24);
        await packClosedDays(database, now, never);
        await dropEmptyPartitions(database, now);
        // What the server does by itself in the course of a day.
        await owner.query("vacuum sample");
      }
      await ask(database, fleet, from, end);
      await putRuns(owner, end);
      await putTroubles(owner, from, end);
    } finally {
      await past.close();
    }
    await owner.query("vacuum analyze");
  } finally {
    await owner.end();
  }
  if (nodes > mostNodesToVerify) return;
  say("evidence");
  const { faults } = await verifyEvidence(database, silent);
  if (faults.length > 0) throw new Error(faults.join(" "));
}

function journalOf(slot: number): string {
  return `00000000-0000-4000-8000-${String(slot).padStart(12, "0")}`;
}

/** Stores the lines of a day as a collector that pulls a few nodes at a time. */
async function storeDay(database: Database, past: Past, until: number): Promise<void> {
  const running = new Set<Promise<void>>();
  for await (const { node, lines } of past.lines(until)) {
    const stored = storeLines(database, node, lines, until).finally(() => running.delete(stored));
    running.add(stored);
    if (running.size >= atOnce) await Promise.race(running);
  }
  await Promise.all(running);
}

async function storeLines(database: Database, node: PastNode, lines: readonly string[], until: number): Promise<void> {
  const items = lines.map((text) => {
    const decoded = decodeLine(text);
    if (!("line" in decoded)) throw new Error(`a line is ${decoded.fault}`);
    return { kind: "line" as const, n: decoded.line.n, line: decoded.line, text };
  });
  const now = new Date(until);
  for (let index = 0; index < items.length; index += linesPerPart) {
    const part = items.slice(index, index + linesPerPart);
    const header = { journal: node.journal, first: 1, last: items.at(-1)?.n ?? 0, now: now.toISOString() };
    await storeJournalPart(database, { nodeId: node.id, machineId: `m${node.slot}`, header, items: part }, rules, now);
  }
}

const pointsPerAsk = 31;

function verdictAt(at: number, slot: number): string {
  return (at / dayMs + slot) % 40 < 1 ? "Disconnected" : "Good";
}

/** Asks the account once, as a collector does. */
async function ask(database: Database, fleet: readonly PastNode[], from: number, at: number): Promise<void> {
  const points = BigInt(((at - from) * askedPerDay) / dayMs) * BigInt(pointsPerAsk);
  const told = fleet.flatMap(({ journal, slot }) => {
    const one = { networkNodeId: `c-${journal}`, day: null, derived: false };
    return [
      { ...one, metric: "points", value: points, text: null },
      { ...one, metric: "verdict", value: null, text: verdictAt(at, slot) },
    ];
  });
  const own = { networkNodeId: null, day: null, derived: false, text: null };
  const facts = [
    ...told,
    { ...own, metric: referralMetrics.invitee, value: 3n },
    { ...own, metric: referralMetrics.pending, value: 1n },
  ];
  const when = new Date(at);
  const answer = { call: "nodes", startedAt: when, finishedAt: when, httpStatus: 200, body: "{}", failure: null };
  const understood = { answer, body: "{}", outcome: "ok" as const, reason: null, facts };
  await storeAnswers(database, account, practice, dayMs, [understood], when);
}

/** Puts what the account would have answered from `begin` on and before `until` in place: readings, facts, verdicts. */
async function putAnswers(
  owner: pg.Client,
  fleet: readonly PastNode[],
  from: number,
  begin: number,
  until: number,
): Promise<void> {
  const every = dayMs / askedPerDay;
  await owner.query("begin");
  const { rows } = await owner.query<{ last: string }>("select max(id) as last from reading");
  const last = rows[0]?.last;
  await owner.query(
    `insert into reading (network, account, source, started_at, finished_at, http_status, outcome, reason, sha256, size, redactor, n, hash)
     select network, account, source, at, at, http_status, outcome, reason, sha256, size, redactor, 0, ''
     from (select * from reading order by id limit 1) first,
       generate_series($1::timestamptz, $2::timestamptz - interval '1 second', make_interval(secs => $3)) at order by at`,
    [new Date(begin), new Date(until), every / 1000],
  );
  await owner.query(
    "insert into reading_body (reading_id, body) select id, '{}' from reading where id > $1 order by id",
    [last],
  );
  await owner.query("set local session_replication_role = replica");
  await owner.query(
    `insert into fact (reading_id, network, account, network_node_id, metric, kind, value, text, unit, scale, day, derived, parser, as_of)
     select reading.id, first.network, first.account, first.network_node_id, metric, kind,
       case when metric = 'points' then round(extract(epoch from finished_at - $2) * 1000 / $3) * ${pointsPerAsk} else value end,
       case when metric <> 'verdict' then text
         when mod(extract(epoch from finished_at) / 86400 + node.slot, 40) < 1 then 'Disconnected' else 'Good' end,
       unit, scale, day, derived, parser, finished_at
     from reading cross join (select * from fact where reading_id = (select min(id) from reading)) first
     left join network_node tie on tie.network_node_id = first.network_node_id left join node on node.id = tie.node_id
     where reading.id > $1 order by reading.id, first.id`,
    [last, new Date(from), every],
  );
  const { rows: open } = await owner.query<{
    node_id: number;
    from_at: Date;
    value: string;
    reading: string;
    as_of: Date;
  }>(
    "delete from layer_interval where layer = 'verdict' and to_at is null returning node_id, from_at, as_of, value, evidence ->> 'reading' as reading",
  );
  const stretches = open.flatMap((one) => {
    const slot = fleet.find(({ id }) => id === one.node_id)?.slot ?? 0;
    let timeline: Timeline = withChange([], verdictOf(one.value, one.from_at.getTime(), one.reading));
    for (let at = begin, reading = Number(last) + 1; at < until; at += every, reading++)
      timeline = withChange(timeline, verdictOf(verdictAt(at, slot), at, String(reading)));
    return timeline.map((stretch) => ({ node: one.node_id, ...stretch }));
  });
  await owner.query(
    `insert into layer_interval (node_id, layer, value, class, reason, from_at, to_at, as_of, evidence)
     select node, 'verdict', value, class, reason, "from", "to", "asOf", evidence
     from json_to_recordset($1) as one (node integer, value text, class text, reason text, "from" timestamptz,
       "to" timestamptz, "asOf" timestamptz, evidence jsonb) order by "from", node`,
    [JSON.stringify(stretches)],
  );
  await owner.query("commit");
}

function verdictOf(verdict: string, at: number, reading: string) {
  return changeOfVerdict(verdict, practice.classOf(verdict), null, new Date(at), reading);
}

async function putRuns(owner: pg.Client, until: number): Promise<void> {
  await owner.query(
    `insert into run (job, due, attempts, claimed_at, finished_at, outcome)
     select 'read practice/main', due, 1, due, due, case when extract(doy from due)::integer % 90 = 0 then 'transient' else 'ok' end
     from generate_series($1::timestamptz, $2::timestamptz, interval '30 minutes') due on conflict do nothing`,
    [new Date(until - 31 * dayMs), new Date(until)],
  );
}

/** Puts what was told somebody and what was repaired until `until` in place: an alert and a repair of each node in a week. */
async function putTroubles(owner: pg.Client, from: number, until: number): Promise<void> {
  const parameters = [new Date(from), new Date(until - dayMs)];
  await owner.query(
    `insert into alert (rule, subject, severity, summary, fix, since, opened_at, resolved_at, told_at, end_told_at)
     select case when mod(week + node.id, 50) = 0 then 'reward-stalled' else 'node-silent' end, key, 'warning',
       'The node is silent.', 'Look at it.', at, at, at + interval '1 hour', at, at + interval '1 hour'
     from generate_series($1::timestamptz, $2::timestamptz, interval '7 days') with ordinality as weeks (at, week), node
     order by at, node.id`,
    parameters,
  );
  await owner.query(
    `with episode as (
       insert into recovery_episode (node_id, machine_id, trouble, reason, trouble_since, opened_at, closed_at, outcome, standing)
       select node.id, machine_id, 'software', 'the browser ended', at, at, at + interval '1 hour', 'recovered', 'It is well.'
       from generate_series($1::timestamptz, $2::timestamptz, interval '7 days') at, node order by at, node.id returning *
     )
     insert into recovery_action (action_id, episode_id, node_id, machine_id, rung, reason, evidence, decided_at, attempts,
       maybe_sent, sent_at, next_try_at, ended_at, outcome)
     select gen_random_uuid(), id, node_id, machine_id, 'runtime', reason, '{}', opened_at, 1, true, opened_at, opened_at,
       opened_at, 'done' from episode order by id`,
    parameters,
  );
}

interface Measured {
  /** Milliseconds of each query: of the first time that it was asked, and of the times after. */
  readonly times: Readonly<Record<string, { readonly first: number[]; readonly warm: number[] }>>;
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
  const times: Record<string, { first: number[]; warm: number[] }> = Object.fromEntries(
    Object.keys(urls).map((name) => [name, { first: [], warm: [] }]),
  );
  for (const moment of ["first", "warm", "warm"] as const) {
    for (const { one } of shuffled) times[one.name]?.[moment].push(await ask(one));
  }
  return { times };
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
  // As many stretches as the shorter time has too: what grows with the length of an answer is the answer.
  "a layer": ({ node }) => `nodes/${node}/states?layer=verdict&limit=8`,
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
  costs: () => "costs",
  "a node's costs": ({ node }) => `costs?node=${encodeURIComponent(node)}`,
  alerts: () => "alerts",
  "open alerts": () => "alerts?open=true",
  "alerts of a rule": () => "alerts?rule=reward-stalled",
  recovery: () => "recovery",
  repairs: () => "recovery/actions",
  "a node's repairs": ({ node }) => `nodes/${node}/actions`,
};

interface Sizes {
  readonly samples: number;
  readonly bytes: number;
  readonly parts: Readonly<Record<string, number>>;
}

/** The bytes of all that lines become, with indexes: of their rows, of packs, of hours and days, of the rest. */
async function sizes(database: Database): Promise<Sizes> {
  const { rows } = await sql<Record<"samples" | "open" | "packs" | "hours" | "days" | "rest", string>>`
    select (select sum(samples) from line_pack) + (select count(*) from sample where kind = 'sample') as samples,
      (select sum(pg_total_relation_size(relid)) from pg_partition_tree('sample')) as open,
      pg_total_relation_size('line_pack') as packs, pg_total_relation_size('node_hour') as hours,
      pg_total_relation_size('node_day') as days,
      (select sum(pg_total_relation_size(relid)) from
        unnest(array['layer_interval', 'node_event', 'gap', 'journal']::regclass[]) relid) as rest`.execute(database);
  const [found] = rows;
  if (found === undefined) throw new Error("sizes are one row");
  const parts = {
    "lines of open days": Number(found.open),
    packs: Number(found.packs),
    hours: Number(found.hours),
    days: Number(found.days),
    "layers, events, gaps and journals": Number(found.rest),
  };
  const bytes = Object.values(parts).reduce((one, other) => one + other, 0);
  return { samples: Number(found.samples), bytes, parts };
}

function at95(times: readonly number[]): number {
  return times.toSorted((one, other) => one - other)[Math.floor((times.length - 1) * 0.95)] ?? 0;
}
