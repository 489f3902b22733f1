import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { encodeLine, type JournalLine } from "../../../cloud-init/agent/line.ts";
import { type RuleName, ruleNames, watchedEvents } from "../../../collector/alerts/rules.ts";
import { plainLayers } from "../../../collector/inventory/workloads.ts";
import { practice } from "../../../collector/networks/practice/adapter.ts";
import type { Decision } from "../../../collector/recovery/ladder.ts";
import {
  applyConclusion,
  beginUnread,
  endUnread,
  forgetDeletedUnread,
  lastUnderstood,
  noteDeletedUnread,
} from "../../../collector/store/absence.ts";
import {
  alertPicture,
  alertRows,
  announceAlerts,
  lastMessages,
  markAlert,
  openAlerts,
  saveSettlement,
  saveTelling,
  tellableAlerts,
  watchAlone,
} from "../../../collector/store/alerts.ts";
import { type Archives, openArchives } from "../../../collector/store/archive/archives.ts";
import { archiveOldMonths } from "../../../collector/store/archive/archiving.ts";
import { changeExtent, changesAfter, pruneChanges } from "../../../collector/store/changes.ts";
import { costRows } from "../../../collector/store/costs.ts";
import { connectAsOwner, type Database } from "../../../collector/store/database.ts";
import { eraseBodies, eraseLines } from "../../../collector/store/erase.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { journalCursor, storeJournalPart } from "../../../collector/store/journals.ts";
import { storedFigures } from "../../../collector/store/metrics.ts";
import { lineMemory, nodeOfSpool, nodesToFollow } from "../../../collector/store/nodes.ts";
import { claimDeliveries, giveUpOthers, noteAttempt } from "../../../collector/store/outbox.ts";
import { packLines } from "../../../collector/store/pack.ts";
import { dropEmptyPartitions, packClosedDays } from "../../../collector/store/packing.ts";
import { preparePartitionsAhead } from "../../../collector/store/partitions.ts";
import { knowAccount, storeAnswers, tiedNodeIds } from "../../../collector/store/readings.ts";
import {
  actionRows,
  brakeNow,
  claimActions,
  decideAlone,
  endAction,
  giveUpActions,
  openProposals,
  openTroubles,
  recoveryPicture,
  releaseAction,
  releaseBrake,
  saveDecision,
  setBrake,
} from "../../../collector/store/recovery.ts";
import { storedReadings, storeReparsed } from "../../../collector/store/reparse.ts";
import { rebuildOne } from "../../../collector/store/rollups.ts";
import {
  claimRuns,
  endJob,
  finishRun,
  giveUpRuns,
  oldestUnanswered,
  planRuns,
  putJob,
  releaseRun,
  renewLeases,
  reopenRuns,
  scheduledJob,
} from "../../../collector/store/runs.ts";
import { verifyEvidence } from "../../../collector/store/verify.ts";
import * as views from "../../../collector/store/views.ts";
import { type LivedLine, nodeLife, randomFrom } from "../../harness/node-life.ts";
import { serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";
import {
  type CallSite,
  callSites,
  document,
  type ListedQuery,
  listed,
  recorder,
  type SentQuery,
} from "./query-list.ts";

const server = serverForFile();
const silent = (): void => undefined;
const start = Date.UTC(2027, 0, 1);
const dayMs = 86_400_000;
const day = (number: number): Date => new Date(start + number * dayMs);
const nodes = 40;
const account = { network: "practice", account: "main" };
const rules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };
const journal = (index: number): string => `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`;

// What runs while the schema is made, or asks whether there is a database at all.
const notListed: ReadonlySet<string> = new Set([
  "collector/store/database.ts migrate",
  "collector/store/database.ts newestMigration",
  "collector/store/database.ts refuseOldServer",
  "collector/store/database.ts refuseHalfRestored",
  "collector/store/role.ts prepareRole",
]);

const sent: SentQuery[] = [];
let sites: CallSite[] = [];
let queries: ListedQuery[] = [];

const packed = packLines([{ n: 1, at: start, boot: "b", monoMs: 1, everyS: 300, line: "{}" }]).toString("hex");

/** A fleet's past, in bulk: the numbers that let PostgreSQL choose as it would for a real one. */
const past = `
  set session_replication_role = replica;
  set timezone = 'UTC';
  insert into account select 'practice', 'account ' || n, '', true from generate_series(1, 20) n;
  insert into incarnation (node_id, machine_id, from_at, to_at)
    select node, 'before ' || life, '2026-01-01', '2026-06-01' from generate_series(1, ${nodes}) node, generate_series(1, 20) life;
  insert into network_node (node_id, incarnation_id, network, network_node_id, from_at, evidence)
    select node, node, 'practice', 'c-' || node, '2026-01-01', '{}' from generate_series(1, ${nodes}) node;
  insert into journal (uuid, incarnation_id, cursor, first_seen_at, chain, last_at, packed_n)
    select ('00000000-0000-4000-9000-' || lpad(node::text, 12, '0'))::uuid, node, 120500, '2026-01-01', '', '2027-03-01', 120000
    from generate_series(2, ${nodes}) node;
  select make_partitions(array(select ('2026-01-01'::date + interval '1 month' * month)::date from generate_series(0, 15) month));
  insert into sample select journal.id, 120000 + n, node_id, '2027-02-27'::timestamptz + n * interval '5 minutes', 'b', n, 'sample', 300, '{}'
    from journal join incarnation on incarnation.id = incarnation_id, generate_series(1, 500) n where node_id between 2 and ${nodes};
  insert into line_pack select journal.id, 1 + pack * 288, 288 + pack * 288, node_id, '2026-01-01'::date + pack,
      '2026-01-01'::timestamptz + pack * interval '1 day', '2026-01-01'::timestamptz + (pack + 1) * interval '1 day' - interval '1 minute',
      286, 2, '', 1, decode('${packed}', 'hex'), decode('${packed}', 'hex'), null
    from journal join incarnation on incarnation.id = incarnation_id, generate_series(300, 415) pack where node_id between 2 and ${nodes};
  insert into node_hour select node, '2026-01-01'::timestamptz + hour * interval '1 hour', 12, 0, 3600000, 12, 12, 12, 12, 0, 12, 12, 1, 1, 1
    from generate_series(2, ${nodes}) node, generate_series(0, 720) hour;
  insert into node_day select node, '2026-01-01'::timestamptz + day * interval '1 day', 12, 0, 3600000, 12, 12, 12, 12, 0, 12, 12, 1, 1, 1
    from generate_series(2, ${nodes}) node, generate_series(0, 420) day;
  insert into layer_interval (node_id, layer, value, reason, from_at, to_at, as_of, evidence)
    select node, layer, case when n % 2 = 0 then 'up' else 'down' end, 'r', '2026-01-01'::timestamptz + n * interval '3 days',
      case when n < 139 then '2026-01-01'::timestamptz + (n + 1) * interval '3 days' end, '2026-01-01', '{}'
    from generate_series(2, ${nodes}) node, unnest(array['machine', 'runtime', 'app', 'verdict', 'reward']) layer, generate_series(0, 139) n;
  insert into reading (network, account, source, started_at, finished_at, http_status, outcome, sha256, redactor, size, n, previous, hash)
    select 'practice', 'account ' || 1 + n % 20, 'user/profile', '2026-01-01'::timestamptz + n * interval '1 hour',
      '2026-01-01'::timestamptz + n * interval '1 hour', 200, 'ok', encode(sha256('{}'), 'hex'), 1, 2, 1 + n / 20, '', '' from generate_series(1, 9000) n;
  insert into reading_body (reading_id, body) select id, '{}' from reading;
  insert into fact (reading_id, network, account, network_node_id, metric, kind, value, scale, derived, parser, as_of)
    select 1 + n % 9000, 'practice', case when n % 5 > 0 then 'main' else 'account ' || 1 + n % 20 end,
      case when n % 5 > 0 then 'c-' || 1 + n % ${nodes} end,
      (array['points', 'uptime', 'season', 'taps', 'referrals.invitee'])[1 + n % 5], 'gauge', n, 0, false, 'p/1',
      '2026-01-01'::timestamptz + n * interval '20 minutes' from generate_series(1, 29000) n;
  insert into gap (node_id, kind, from_at, to_at, reason)
    select 2 + n % (${nodes} - 1), 'no-samples', '2026-01-01'::timestamptz + n * interval '1 hour', '2026-01-01'::timestamptz + n * interval '1 hour', 'r'
    from generate_series(1, 4000) n;
  insert into job (name, planned_until) select 'job ' || n, '2027-02-28' from generate_series(1, 30) n;
  insert into run (job, due, attempts, claimed_at, finished_at, outcome)
    select 'job ' || 1 + n % 30, '2026-01-01'::timestamptz + n * interval '20 minutes', 1, '2026-01-01', '2026-01-01',
      case when n % 50 = 0 then 'failed' else 'ok' end from generate_series(1, 25000) n;
  insert into recovery_episode (node_id, machine_id, trouble, reason, trouble_since, opened_at, closed_at, outcome, standing)
    select 1 + n % ${nodes}, 'm', 'software', 'r', '2026-01-01'::timestamptz + n * interval '1 hour', '2026-01-01'::timestamptz + n * interval '1 hour',
      '2026-01-01'::timestamptz + n * interval '1 hour', 'recovered', 's' from generate_series(1, 8000) n;
  insert into recovery_action (action_id, episode_id, node_id, machine_id, rung, reason, evidence, decided_at, next_try_at, ended_at, outcome)
    select gen_random_uuid(), id, node_id, 'm', 'runtime', 'r', '{}', opened_at, opened_at, opened_at, 'done' from recovery_episode;
  insert into recovery_brake (cause, reason, set_at, released_at, released_by)
    select 'fleet', 'r', '2026-01-01'::timestamptz + n * interval '1 day', '2026-01-01'::timestamptz + n * interval '1 day', 'fleet' from generate_series(1, 300) n;
  insert into change (at, topic, subject) select '2027-02-20'::timestamptz + n * interval '1 minute', 'node', 'home/' || n % ${nodes} from generate_series(1, 12000) n;
  insert into inventory_version (stack, sha256, written_at, accepted_at, body) select 'test', '', '2025-01-01', '2025-01-01', '{}' from generate_series(1, 300);
  analyze;`;

/** Does everything that the collector does, once. */
async function everything(database: Database, owner: Database, archives: Archives): Promise<void> {
  const records = Array.from({ length: nodes }, (_, slot) => nodeRecord(`home/${slot}`, `m${slot}`, "/nowhere"));
  const changed = [
    nodeRecord("home/1", "another", "/nowhere"),
    ...records.slice(2, -1),
    nodeRecord("new/0", "n0", "/nowhere", { network: null, power: "off" }),
  ];
  const nodeId = (await views.nodeIdOf(database, "home/0")) ?? 0;
  await journalCursor(database, nodeId);
  await lineMemory(database, nodeId);
  await nodesToFollow(database);
  await preparePartitionsAhead(database, day(0));

  const life = (index: number): Iterator<LivedLine> =>
    nodeLife({ journal: journal(index), from: start, everySeconds: 3600, random: randomFrom(index) });
  const store = (index: number, items: readonly LivedLine[]) => {
    const header = { journal: journal(index), first: 1, last: items.at(-1)?.n ?? 0, now: day(1).toISOString() };
    return storeJournalPart(database, { nodeId, machineId: "m0", header, items }, rules, day(1));
  };
  const lived = (index: number, count: number): LivedLine[] => {
    const one = life(index);
    return Array.from({ length: count }, () => one.next().value);
  };
  const lines = lived(1, 120);
  await store(1, lines.slice(0, 50));
  // A hole, and a journal in the place of another.
  await store(1, lines.slice(60));
  const second = lived(2, 60);
  const [event = ""] = watchedEvents;
  const line = { ...(second[58]?.line as JournalLine), n: 61, kind: "event" as const, event: { name: event } };
  await store(2, [...second, { kind: "line", n: 61, line, text: encodeLine(line) }]);
  await packClosedDays(database, day(5), new AbortController().signal);
  await dropEmptyPartitions(database, day(2));
  const old = nodeLife({ journal: journal(7), from: Date.UTC(2026, 0, 5), everySeconds: 3600, random: randomFrom(7) });
  await store(
    7,
    Array.from({ length: 50 }, () => old.next().value as LivedLine),
  );
  await packClosedDays(database, day(5), new AbortController().signal);
  await archiveOldMonths(database, archives, new Date(Date.UTC(2026, 1, 1)), new AbortController().signal);
  const memory = await lineMemory(database, nodeId);
  await applyConclusion(
    database,
    nodeId,
    memory?.at ?? null,
    [{ layer: "machine", at: day(9), value: "unknown", reason: "silence", evidence: { kind: "silence", after: "" } }],
    day(9),
  );

  await knowAccount(database, account, "main", true);
  await tiedNodeIds(database, "practice");
  const answer = {
    call: "user/profile",
    startedAt: day(9),
    finishedAt: day(9),
    httpStatus: 200,
    body: "{}",
    failure: null,
  };
  const told = { networkNodeId: "c-3", day: null, derived: false };
  const understood = {
    answer,
    body: "{}",
    outcome: "ok" as const,
    reason: null,
    facts: [
      { ...told, metric: "points", value: 7n, text: null },
      { ...told, metric: "verdict", value: null, text: "Good" },
    ],
  };
  await storeAnswers(database, account, practice, 1000, [understood], day(9));
  await lastUnderstood(database, account, "user/");
  await beginUnread(database, account, day(9), day(10), "away", day(11));
  await endUnread(database, account, day(12));
  const readings = await storedReadings(database, "practice", day(8), "0", 10, archives);
  await storeReparsed(
    database,
    practice,
    readings.map((reading) => ({ reading, facts: understood.facts })),
  );

  await putJob(database, "read", "0 * * * *", day(9));
  await scheduledJob(database, "read");
  const dues = [10, 11, 12, 13].map((number) => ({
    due: day(number),
    missed: number === 10 ? "away" : null,
    answerable: number === 10,
  }));
  await planRuns(database, [{ name: "read", after: day(9), until: day(13), dues }], day(13));
  await giveUpRuns(database, ["read"], 3, day(12));
  await oldestUnanswered(database, "read", day(9));
  const [run] = await claimRuns(database, ["read"], { by: "me", leaseMs: 1000, most: 5, now: day(13) });
  if (run === undefined) throw new Error("a due time is claimed");
  await renewLeases(database, [run], 1000);
  await releaseRun(database, run, "again", 0);
  await finishRun(database, run, { outcome: "ok", reason: null, answersFrom: day(9) }, day(13));
  await reopenRuns(database, ["read"], day(11));
  await endJob(database, "read", day(14));

  await acceptInventory(database, inventoryFile(changed, day(20)), day(20));
  await noteDeletedUnread(database, day(400));
  const spooled = { key: "gone/7", machineId: "g", firstAt: day(0), lastAt: day(1) };
  await forgetDeletedUnread(database, (await nodeOfSpool(database, spooled)).id);
  await reads(database, nodeId, archives);
  await alerts(database, day(21));
  await recoveries(database, day(21));

  await owner.updateTable("node_latest").set({ rolled_up: false }).where("node_id", "=", nodeId).execute();
  while (await rebuildOne(database));
  await pruneChanges(database, day(1));
  await verifyEvidence(database, silent, archives);
  const erased = { when: day(30), why: "asked" };
  await eraseBodies(owner, archives, account, day(30), erased);
  await eraseBodies(
    owner,
    archives,
    { network: "practice", account: "account 3" },
    new Date(Date.UTC(2026, 0, 9)),
    erased,
  );
  await store(1, lived(1, 300).slice(120));
  await eraseLines(owner, archives, nodeId, day(3), erased);
}

async function alerts(database: Database, now: Date): Promise<void> {
  const raised = (subject: string) => ({
    rule: ruleNames[0] as RuleName,
    subject,
    severity: "critical" as const,
    summary: "It is so.",
    fix: "Do this.",
    since: now,
  });
  await watchAlone(database, async (transaction) => {
    await alertPicture(transaction, async () => plainLayers, now);
    const opened = ["home/0", "home/1", "home/2"].map(raised);
    await saveSettlement(transaction, { opened, restated: [], ended: [] }, now);
    await announceAlerts(transaction, now);
  });
  const [one = "", other = "", third = ""] = (await openAlerts(database)).map(({ id }) => id);
  await tellableAlerts(database);
  await lastMessages(database);
  await watchAlone(database, async (transaction) => {
    const { rule, severity } = raised("");
    const message = { rule, kind: "began" as const, severity, title: "", body: "", alerts: [one, other] };
    await saveTelling(transaction, { messages: [message], passedOver: [third] }, () => ["post", "bell"], now);
    await saveSettlement(transaction, { opened: [], restated: [{ id: one, summary: "So." }], ended: [other] }, now);
  });
  const channels = { all: ["post"], urgentOnly: ["bell"] };
  const [delivery] = await claimDeliveries(database, channels, 10, 1000, day(22));
  if (delivery === undefined) throw new Error("a delivery is claimed");
  await noteAttempt(database, delivery, { deliveredAt: day(22) });
  await giveUpOthers(database, ["post"], day(23));
  await markAlert(database, one, "acknowledged_at", day(23));
  await alertRows(database, { limit: 101 });
  await alertRows(database, { limit: 101, open: true, rule: raised("").rule, after: "900" });
}

/** Trouble of two nodes, through every rung and every end. */
async function recoveries(database: Database, now: Date): Promise<void> {
  const decisionAt = (at: Date, part: Partial<Decision>) =>
    decideAlone(database, (transaction) =>
      saveDecision(transaction, { brake: null, episodes: [], actions: [], ...part }, at),
    );
  const picture = await recoveryPicture(database, now, now);
  const [one, other] = picture.nodes;
  if (one === undefined || other === undefined) throw new Error("there are two nodes");
  const evidence = { kind: "line", journal: "j", n: 1 } as const;
  const layerNow = { value: "down", class: null, reason: "it ended", since: now, evidence };
  const trouble = { kind: "software", layer: "runtime", now: layerNow } as const;
  await decisionAt(now, {
    episodes: [one, other].map((node) => ({ kind: "open" as const, node, trouble, standing: "It is given time." })),
  });
  const episodes = (await recoveryPicture(database, now, now)).nodes.flatMap(({ episode }) => episode ?? []);
  const [first, second] = episodes;
  if (first === undefined || second === undefined) throw new Error("there are two episodes");
  const noted = { kind: "note", episode: first, trouble, troubleSince: now, wellSince: null, standing: "So." } as const;
  await decisionAt(now, {
    episodes: [noted, { kind: "close", episode: second, outcome: "recovered" }],
    actions: [{ node: one, episode: first, rung: "runtime", trouble }],
  });
  const [action] = await claimActions(database, { by: "me", leaseMs: 1000, limit: 5, now });
  if (action === undefined) throw new Error("an action is claimed");
  await releaseAction(database, action, { nextTryAt: now, detail: null, maybeSent: false });
  await endAction(database, action, { outcome: "done", detail: null }, now);
  await decisionAt(now, {
    brake: { kind: "set", reason: "many" },
    actions: [{ node: one, episode: first, rung: "rebuild", trouble }],
  });
  await decideAlone(database, (transaction) => giveUpActions(transaction, now));
  await openProposals(database);
  await openTroubles(database);
  await brakeNow(database);
  await actionRows(database, { limit: 101 });
  await actionRows(database, { limit: 101, nodeId: one.id, after: "900" });
  await decisionAt(now, { brake: { kind: "release", reason: "few" } });
  await setBrake(database, now);
  await releaseBrake(database, now);
  const [whole] = (await recoveryPicture(database, now, now)).nodes.flatMap(({ episode }) => episode ?? []);
  if (whole !== undefined)
    await decisionAt(now, { episodes: [{ kind: "close", episode: whole, outcome: "recovered" }] });
}

/** What the API and the page ask for, with every filter. */
async function reads(database: Database, nodeId: number, archives: Archives): Promise<void> {
  const range = { from: day(1), to: day(4) };
  const after = { at: day(2), journal: 1, n: "20" };
  await views.nodeRows(database, { limit: 101 });
  await views.nodeRows(database, {
    limit: 101,
    group: "home",
    layers: { verdict: "Good" },
    after: { group: "home", slot: 3 },
  });
  await views.nodeRows(database, { limit: 1, key: "home/3" });
  await views.openLayers(database, [1, 2, 3]);
  for (const order of ["asc", "desc"] as const) {
    await views.sampleRows(database, { nodeId, order, limit: 101 }, archives);
    await views.sampleRows(database, { nodeId, order, limit: 51, kind: "event" }, archives);
    await views.sampleRows(database, { nodeId, order, limit: 101, ...range, after, kind: "sample" }, archives);
  }
  for (const every of ["hour", "day"] as const)
    await views.rollupRows(database, { nodeId, every, limit: 101, ...range });
  await views.stateRows(database, { nodeId, limit: 101 });
  await views.stateRows(database, { nodeId, limit: 101, ...range, after: { from: day(2), id: "50" } });
  await views.stateRows(database, { nodeId, limit: 101, layer: "app", ...range });
  const facts = { limit: 101 };
  await views.factRows(database, facts);
  await views.factRows(database, { ...facts, nodeId: 3, metric: "points", ...range });
  await views.factRows(database, { ...facts, network: "practice", metric: "points" });
  await views.factRows(database, { ...facts, metric: "points", day: "2027-01-03" });
  await views.factRows(database, { ...facts, ...account, about: "account", metric: "taps", after: "900" });
  await views.factRows(database, { ...facts, about: "node", ...range });
  await views.referralRows(database, undefined, 101);
  await views.referralRows(database, ["practice", "account 3"], 101);
  await views.gapRows(database, { limit: 101, after: "2000" });
  await views.gapRows(database, { limit: 101, nodeId: 3 });
  await views.incarnationRows(database, { limit: 101, nodeId: 3, after: 500 });
  await views.workloadOf(database, "home");
  await views.readingRow(database, "7", archives);
  await views.runRows(database, { limit: 101, after: { due: day(0), id: "900" } });
  await views.runRows(database, { limit: 101, job: "job 3", ...range });
  await views.runRows(database, { limit: 101, outcome: "failed" });
  await costRows(database, { limit: 101 });
  await costRows(database, { limit: 101, nodeId, ...range, after: "900" });
  await changesAfter(database, "100", 500);
  await storedFigures(database, day(58));
  await changeExtent(database);
}

beforeAll(async () => {
  const { database, url } = await server.fresh();
  const records = Array.from({ length: nodes }, (_, slot) => nodeRecord(`home/${slot}`, `m${slot}`, "/nowhere"));
  await acceptInventory(database, inventoryFile(records, day(0)), day(0));
  const client = new pg.Client({ connectionString: url, options: "-c timezone=UTC" });
  await client.connect();
  // Counts that it takes in between, when a slow machine gives it the time to, would change plans.
  await client.query("alter system set autovacuum = off");
  await client.query("select pg_reload_conf()");
  await client.query(past);
  await client.query("set session_replication_role = origin");
  const hear = recorder((query) => sent.push(query));
  const owner = connectAsOwner(url, silent);
  const folder = await mkdtemp(join(tmpdir(), "queries-archives-"));
  await everything(database.withPlugin(hear), owner.withPlugin(hear), openArchives(folder));
  await rm(folder, { recursive: true, force: true });
  await owner.destroy();
  sites = await callSites();
  queries = await listed(sent, sites, client);
  await client.end();
});

const place = ({ file, name }: CallSite): string => `${file} ${name}`;

describe("the list of queries", () => {
  it("holds every query of the product", () => {
    const found = new Set(queries.map(({ site }) => `${place(site)} ${site.line}`));
    const missing = sites.filter((site) => !notListed.has(place(site)) && !found.has(`${place(site)} ${site.line}`));
    expect(missing).toEqual([]);
  });

  it("is the one in the documentation", async () => {
    await expect(document(queries)).toMatchFileSnapshot(join(import.meta.dirname, "../../../docs/queries.md"));
  });

  it("has no query that reads a whole table that grows", () => {
    const grows =
      /Seq Scan on (sample_\S+|line_pack|node_hour|node_day|layer_interval|reading|reading_body|fact|gap|run|recovery_action|recovery_episode|change)\b/;
    // What checks all evidence reads all of it.
    const whole = new Set(["collector/store/verify.ts verifySnapshot"]);
    const bad = queries.filter(({ site, plan }) => !whole.has(place(site)) && plan.some((line) => grows.test(line)));
    expect(bad.map(({ site, sql, plan }) => [place(site), sql, plan])).toEqual([]);
  });

  it("has no query that reads all lines of a month", () => {
    for (const { site, plan } of queries) {
      for (const [index, line] of plan.entries()) {
        // The month that the fleet's lines are in: of those that are all but empty, any plan is as good as another.
        if (!/ on sample_2027_02\b/.test(line) || /^\s*(Insert|Delete|Update) on/.test(line)) continue;
        const depth = line.search(/\S/);
        const below = plan.slice(index + 1);
        const end = below.findIndex((other) => other.search(/\S/) <= depth);
        const own = end === -1 ? below : below.slice(0, end);
        expect(own.join("\n"), `${place(site)}: ${plan.join("\n")}`).toMatch(/Index Cond|Recheck Cond/);
      }
    }
  });
});
