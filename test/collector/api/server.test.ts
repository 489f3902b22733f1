import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { z } from "zod";
import { hostAllowed } from "../../../collector/api/hosts.ts";
import { buildServer } from "../../../collector/api/server.ts";
import * as types from "../../../collector/api/types.ts";
import { workloadsIn } from "../../../collector/inventory/workloads.ts";
import { practice } from "../../../collector/networks/practice/adapter.ts";
import type { Database } from "../../../collector/store/database.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { knowAccount, storeAnswers } from "../../../collector/store/readings.ts";
import { planRuns, putJob } from "../../../collector/store/runs.ts";
import { noArchives, serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const server = serverForFile();
const now = new Date(Date.UTC(2026, 0, 1));
let database: Database;
let app: FastifyInstance;
let webRoot = "";

beforeEach(async () => {
  ({ database } = await server.fresh());
  webRoot = await mkdtemp(join(tmpdir(), "collector-page-"));
  await writeFile(join(webRoot, "index.html"), "<!doctype html><title>page</title>");
  app = await buildServer({
    database,
    archives: noArchives,
    workloads: workloadsIn(null),
    now: () => now,
    host: "127.0.0.1",
    webRoot,
    bell: { listen: () => () => undefined, stop: async () => undefined },
    log: () => undefined,
    waiting: async () => ["database"],
    metrics: async () => "",
  });
});
afterEach(async () => {
  await app.close();
  await rm(webRoot, { recursive: true, force: true });
});

async function get(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown; type: string }> {
  const answer = await app.inject({ url, headers: { host: "127.0.0.1:8080", ...headers } });
  return { status: answer.statusCode, body: answer.json(), type: String(answer.headers["content-type"]) };
}

/** Three nodes of two groups, one with a tie and a reading, one without a network, one gone. */
async function populate(): Promise<void> {
  const records = [
    nodeRecord("home/0", "m0", "/n/0", { label: "Attic" }),
    nodeRecord("home/1", "m1", "/n/1"),
    nodeRecord("lab/0", "m2", "/n/2", { network: null, workload: "unheard-of" }),
  ];
  await acceptInventory(database, inventoryFile(records, now), now);
  await acceptInventory(
    database,
    inventoryFile([...records.slice(0, 1), ...records.slice(2)], new Date(now.getTime() + 1)),
    now,
  );
  const key = { network: "practice", account: "main" };
  await knowAccount(database, key, "practice", true);
  const node = await database.selectFrom("node").select("id").where("key", "=", "home/0").executeTakeFirstOrThrow();
  const life = await database
    .selectFrom("incarnation")
    .select("id")
    .where("node_id", "=", node.id)
    .executeTakeFirstOrThrow();
  await database
    .insertInto("network_node")
    .values({
      node_id: node.id,
      incarnation_id: life.id,
      network: "practice",
      network_node_id: "c-1",
      from_at: now,
      evidence: "{}",
    })
    .execute();
  const fact = (metric: string, value: bigint | null, text: string | null, networkNodeId: string | null) => ({
    metric,
    networkNodeId,
    value,
    text,
    day: null,
    derived: false,
  });
  const answer = {
    call: "sentrynode/list?page=1",
    startedAt: now,
    finishedAt: now,
    httpStatus: 200,
    body: "",
    failure: null,
  };
  const facts = [
    fact("verdict", null, "Good", "c-1"),
    fact("points", 9_007_199_254_740_993n, null, "c-1"),
    fact("referral-invitee", 5n, null, null),
    fact("referral-pending", 2n, null, null),
  ];
  await storeAnswers(
    database,
    key,
    practice,
    1000,
    [{ answer, body: '{"x":1}', outcome: "ok", reason: null, facts }],
    now,
  );
  await putJob(database, "job", "* * * * *", now);
  const dues = [
    { due: now, missed: "no collector ran", answerable: true },
    { due: new Date(now.getTime() + 1), missed: null, answerable: false },
  ];
  await planRuns(database, [{ name: "job", after: now, until: new Date(now.getTime() + 1), dues }], now);
}

describe("the API", () => {
  it("answers every path in the form of its schema", async () => {
    await populate();
    const forms: [string, z.ZodType][] = [
      ["/api/v1/nodes", types.NodeList],
      ["/api/v1/nodes/home/0", types.NodeItem],
      ["/api/v1/nodes/home/0/samples", types.SampleList],
      ["/api/v1/nodes/home/0/rollups?every=hour", types.RollupList],
      ["/api/v1/nodes/home/0/states", types.StateList],
      ["/api/v1/nodes/home/0/rewards", types.FactList],
      ["/api/v1/nodes/home/0/gaps", types.GapList],
      ["/api/v1/nodes/home/0/incarnations", types.IncarnationList],
      ["/api/v1/groups/home/workload", types.WorkloadItem],
      ["/api/v1/groups/lab/workload", types.WorkloadItem],
      ["/api/v1/rewards", types.FactList],
      ["/api/v1/referrals", types.ReferralList],
      ["/api/v1/accounts/practice/main/rewards", types.FactList],
      ["/api/v1/readings/1", types.ReadingItem],
      ["/api/v1/runs", types.RunList],
      ["/api/v1/gaps", types.GapList],
      ["/api/v1/costs", types.CostList],
      ["/api/v1/costs?node=home/0", types.CostList],
      ["/api/v1/alerts", types.AlertList],
      ["/api/v1/recovery", types.RecoveryState],
      ["/api/v1/recovery/actions", types.RecoveryActionList],
      ["/api/v1/nodes/home/0/actions", types.RecoveryActionList],
    ];
    for (const [path, form] of forms) {
      const { status, body } = await get(path);
      expect(status, path).toBe(200);
      expect(form.safeParse(body).error, path).toBeUndefined();
    }
  });

  it("gives amounts beyond 2^53 exactly, with their date and reading", async () => {
    await populate();
    const { body } = await get("/api/v1/nodes/home/0");
    expect(body).toMatchObject({
      label: "Attic",
      practice: true,
      networkNodeId: "c-1",
      points: { units: "9007199254740993", scale: 5, unit: "point", asOf: now.toISOString(), reading: "1" },
      layers: { verdict: { value: "Good", class: "good", name: "network verdict", reason: "the network's own word" } },
    });
    expect((await get("/api/v1/referrals")).body).toMatchObject({
      items: [{ invitee: "5", pending: "2", practice: true }],
    });
  });

  it("says nothing of what was never read, and none where a node earns from no network", async () => {
    await populate();
    const { body } = await get("/api/v1/nodes/lab/0");
    expect(body).toMatchObject({
      practice: false,
      points: null,
      lastSampleAt: null,
      layers: {
        machine: { value: "unknown", since: null, asOf: null },
        verdict: { value: "none", class: "unknown" },
        reward: { value: "none" },
      },
    });
  });

  it("keeps nodes that left, and filters by group and by layer", async () => {
    await populate();
    const keys = async (query: string): Promise<string[]> =>
      ((await get(`/api/v1/nodes${query}`)).body as types.NodeList).items.map(({ key, gone }) =>
        gone ? `${key} gone` : key,
      );
    expect(await keys("")).toEqual(["home/0", "home/1 gone", "lab/0"]);
    expect(await keys("?group=home")).toEqual(["home/0", "home/1 gone"]);
    expect(await keys("?layer.verdict=Good")).toEqual(["home/0"]);
    expect(await keys("?layer.verdict=Bad")).toEqual([]);
  });

  it("pages through a list without losing or repeating an item", async () => {
    const records = Array.from({ length: 12 }, (_, slot) => nodeRecord(`home/${slot}`, `m${slot}`, "/n"));
    await acceptInventory(database, inventoryFile(records, now), now);
    const seen: string[] = [];
    let next: string | null = "";
    while (next !== null) {
      const page = (await get(`/api/v1/nodes?limit=5${next === "" ? "" : `&after=${next}`}`)).body as types.NodeList;
      seen.push(...page.items.map(({ key }) => key));
      next = page.next;
    }
    expect(seen).toEqual(records.map(({ key }) => key));
  });

  it.each([
    ["/api/v1/nodes?colour=red", 400, "bad-query"],
    ["/api/v1/nodes?limit=0", 400, "bad-query"],
    ["/api/v1/nodes?after=nonsense", 400, "bad-query"],
    ["/api/v1/nodes/home/00", 400, "bad-path"],
    ["/api/v1/nodes/home/7", 404, "not-found"],
    ["/api/v1/readings/77", 404, "not-found"],
    ["/api/v1/stream?after=x", 400, "bad-query"],
    ["/api/v1/nowhere", 404, "not-found"],
  ])("answers %s with problem details and a fix", async (path, status, code) => {
    const answer = await get(path);
    expect(answer.status).toBe(status);
    expect(answer.type).toContain("application/problem+json");
    expect(types.ProblemDetails.parse(answer.body)).toMatchObject({ status, code });
  });

  it("lists alerts, and marks them as read and as seen to only for who asks in JSON", async () => {
    await sql`insert into alert (rule, subject, severity, summary, fix, since, opened_at, resolved_at)
      select 'node-silent', 'home/' || n, 'critical', 'It is silent.', 'Look.', ${now}, ${now}, case when n = 0 then ${now}::timestamptz end
      from generate_series(0, 2) as n`.execute(database);
    const subjects = async (query: string): Promise<string[]> =>
      types.AlertList.parse((await get(`/api/v1/alerts${query}`)).body).items.map(({ subject }) => subject);
    expect(await subjects("")).toEqual(["home/2", "home/1", "home/0"]);
    expect(await subjects("?open=true&rule=node-silent")).toEqual(["home/2", "home/1"]);
    expect(await subjects("?open=false")).toEqual(["home/0"]);

    const post = (path: string, type: string, body: string) =>
      app.inject({
        method: "POST",
        url: `/api/v1/alerts/${path}`,
        headers: { host: "127.0.0.1:8080", "content-type": type },
        body,
      });
    // What a form of a foreign page can send.
    for (const type of ["text/plain", "application/x-www-form-urlencoded"])
      expect((await post("2/ack", type, "{}")).statusCode).toBeGreaterThanOrEqual(400);
    expect((await post("2/ack", "application/json", '{"by":"me"}')).json()).toMatchObject({ code: "bad-body" });
    expect((await post("9/ack", "application/json", "{}")).json()).toMatchObject({ code: "not-found" });
    expect(types.AlertMark.parse((await post("2/read", "application/json", "{}")).json())).toEqual({
      id: "2",
      at: now.toISOString(),
    });
    expect((await post("3/ack", "application/json", "{}")).statusCode).toBe(200);
    const { items } = types.AlertList.parse((await get("/api/v1/alerts?open=true")).body);
    expect(items.map(({ readAt, acknowledgedAt }) => [readAt !== null, acknowledgedAt !== null])).toEqual([
      [true, true],
      [true, false],
    ]);
  });

  it("tells what was done for nodes, and lets the operator set and release the brake by JSON alone", async () => {
    await populate();
    await sql`with episode as (
        insert into recovery_episode (node_id, machine_id, trouble, reason, trouble_since, opened_at, standing)
        select id, machine_id, 'software', 'exit-7', ${now}, ${now}, 'It is watched.' from node where key in ('home/0', 'lab/0') returning *
      )
      insert into recovery_action (action_id, episode_id, node_id, machine_id, rung, reason, evidence, decided_at, next_try_at)
      select gen_random_uuid(), id, node_id, machine_id, 'runtime', 'runtime down: exit-7', '{"layer":"runtime"}', ${now}, ${now} from episode`.execute(
      database,
    );
    const nodesOf = async (path: string): Promise<string[]> =>
      types.RecoveryActionList.parse((await get(path)).body)
        .items.map(({ node }) => node)
        .toSorted();
    expect(await nodesOf("/api/v1/recovery/actions")).toEqual(["home/0", "lab/0"]);
    expect(await nodesOf("/api/v1/nodes/home/0/actions")).toEqual(["home/0"]);
    const state = async () => types.RecoveryState.parse((await get("/api/v1/recovery")).body);
    expect((await state()).nodes.map(({ node }) => node)).toEqual(["home/0", "lab/0"]);
    const post = async (path: string, type = "application/json") =>
      app.inject({
        method: "POST",
        url: `/api/v1/recovery/${path}`,
        headers: { host: "127.0.0.1:8080", "content-type": type },
        body: "{}",
      });
    expect((await post("pause", "text/plain")).statusCode).toBeGreaterThanOrEqual(400);
    expect((await state()).brake).toBeNull();
    expect((await post("pause")).json()).toEqual({ changed: true, at: now.toISOString() });
    expect((await post("pause")).json()).toMatchObject({ changed: false });
    expect((await state()).brake).toMatchObject({ cause: "operator" });
    expect((await nodesOf("/api/v1/recovery/actions")).length).toBe(2);
    expect((await get("/api/v1/recovery/actions")).body).toMatchObject({
      items: [{ outcome: "withdrawn" }, { outcome: "withdrawn" }],
    });
    expect((await post("release")).json()).toMatchObject({ changed: true });
    expect((await state()).brake).toBeNull();
  });

  it("does not answer a page that came here by a foreign name", async () => {
    expect(await get("/api/v1/nodes", { host: "rebound.example" })).toMatchObject({ status: 421 });
    const cases: [string | undefined, string, boolean][] = [
      ["localhost:8080", "127.0.0.1", true],
      ["[::1]:8080", "127.0.0.1", true],
      ["127.0.0.1", "::1", true],
      ["localhost.example", "127.0.0.1", false],
      ["127.0.0.1.example:80", "127.0.0.1", false],
      [undefined, "127.0.0.1", false],
      ["lab.example", "192.0.2.1", true],
    ];
    for (const [header, listening, allowed] of cases) expect(hostAllowed(header, listening), header).toBe(allowed);
  });

  it("serves the page with a policy that lets nothing foreign in", async () => {
    const page = await app.inject({ url: "/", headers: { host: "localhost" } });
    expect(page.statusCode).toBe(200);
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
    expect(page.headers["content-security-policy"]).not.toContain("unsafe");
    const outside = await app.inject({ url: "/../package.json", headers: { host: "localhost" } });
    expect(outside.statusCode).toBe(404);
  });

  it("says that it lives before it says that it is ready", async () => {
    expect(await get("/healthz")).toMatchObject({ status: 200, body: { alive: true } });
    expect(await get("/readyz")).toMatchObject({ status: 503, body: { ready: false, waiting: ["database"] } });
  });
});
