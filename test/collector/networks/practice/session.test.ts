import { rm } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Session } from "../../../../collector/networks/adapter.ts";
import type { PracticeAccount } from "../../../../collector/networks/practice/account.ts";
import { practice } from "../../../../collector/networks/practice/adapter.ts";
import { understandAnswer } from "../../../../collector/networks/read.ts";
import { beginUnread, endUnread } from "../../../../collector/store/absence.ts";
import type { Database } from "../../../../collector/store/database.ts";
import { acceptInventory } from "../../../../collector/store/inventory.ts";
import { knowAccount, storeAnswers, tiedNodeIds } from "../../../../collector/store/readings.ts";
import { factRows, gapRows, nodeIdOf, nodeRows, openLayers, referralRows } from "../../../../collector/store/views.ts";
import { endNetwork, type NetworkProcess, practiceFolder, startNetwork } from "../../../practice/network-process.ts";
import { serverForFile } from "../../database.ts";
import { enrolledNode } from "../../enrolled-node.ts";
import { inventoryFile, nodeRecord } from "../../inventory.ts";

const server = serverForFile();
const world = { fetch, random: Math.random, stateDirectory: "/nowhere", opener: { key: null } };
const key = { network: "practice", account: "main" };
let network: NetworkProcess;
let folder = "";
let database: Database;
let session: Session;
let account: PracticeAccount;
let clientid = "";

beforeAll(async () => {
  folder = await practiceFolder();
  network = await startNetwork(folder);
});
afterAll(async () => {
  await endNetwork(network, "SIGTERM");
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  ({ database } = await server.fresh());
  await admin("DELETE", "misbehaviours");
  const { origin, account: credentials } = network.info;
  account = { schema: 1, network: "practice", account: key.account, origin, label: "practice", ...credentials };
  session = practice.open(account, { ...world, now: () => new Date() });
  clientid = await enrolledNode(network);
  await knowAccount(database, key, "practice", true);
  const records = [nodeRecord("home/0", "machine", "/nowhere")];
  await acceptInventory(database, inventoryFile(records, new Date(Date.now() - 60_000)), new Date());
  const node = await database.selectFrom("node").select("id").executeTakeFirstOrThrow();
  const incarnation = await database.selectFrom("incarnation").select("id").executeTakeFirstOrThrow();
  await database
    .insertInto("network_node")
    .values({
      node_id: node.id,
      incarnation_id: incarnation.id,
      network: "practice",
      network_node_id: clientid,
      from_at: new Date(),
      evidence: "{}",
    })
    .execute();
});

async function admin(method: string, path: string, body?: unknown): Promise<void> {
  const response = await fetch(`${network.info.origin}/practice/admin/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${network.info.adminToken}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
}
const misbehave = (request: Record<string, unknown>): Promise<void> => admin("POST", "misbehaviours", request);

/** Reads one source as the schedule does and returns how each call ended. */
async function read(source: "nodes" | "days"): Promise<string[]> {
  const ids = await tiedNodeIds(database, "practice");
  const answers = await session.read(source, ids, new AbortController().signal);
  const understood = answers.map((answer) => understandAnswer(practice, session, answer));
  await storeAnswers(database, key, practice, practice.stallMs(account), understood, new Date());
  return understood.map(({ answer, outcome }) => `${answer.call.split("?")[0]} ${outcome}`);
}

async function layers(): Promise<Record<string, string>> {
  const id = (await nodeIdOf(database, "home/0")) ?? 0;
  const open = await openLayers(database, [id]);
  return Object.fromEntries(open.map(({ layer, value, class: of }) => [layer, of === null ? value : `${value}/${of}`]));
}

const factCount = async (): Promise<number> => (await factRows(database, { limit: 10_000 })).length;

describe("reading the practice network", () => {
  it("signs in, reads verdict, points, days and referrals, and ties them to the fleet's node", async () => {
    await admin("POST", "invitees", { count: 3, pending: 1 });
    expect(await read("nodes")).toEqual(["user/profile ok", "sentrynode/list ok"]);
    expect(await read("days")).toEqual(["status ok", "point/stats ok", `sentrynode/stats/${clientid} ok`]);
    expect(await layers()).toMatchObject({ verdict: "Good/good", reward: "zero" });
    const [row] = await nodeRows(database, { key: "home/0", limit: 1 });
    expect(row).toMatchObject({ network_node_id: clientid, points_value: "0", points_scale: 5, points_unit: "point" });
    const [referral] = await referralRows(database, undefined, 10);
    expect(Number(referral?.invitee)).toBeGreaterThanOrEqual(3);
    expect(referral?.practice).toBe(true);
  });

  it("stores every number with the reading it was read from", async () => {
    await read("nodes");
    const facts = await factRows(database, { limit: 1000 });
    const readings = await database
      .selectFrom("reading")
      .innerJoin("reading_body", "reading_id", "id")
      .select(["id", "body", "finished_at"])
      .execute();
    for (const fact of facts) {
      const reading = readings.find(({ id }) => id === fact.reading_id);
      expect(fact.as_of).toEqual(reading?.finished_at);
      if (fact.value !== null && !fact.derived) expect(reading?.body).toContain(fact.value);
    }
  });

  it.each([
    ["500s", { kind: "status", status: 500 }, "transient"],
    ["429s", { kind: "too-many-requests", retryAfterSeconds: 600 }, "rate-limited"],
    ["a captcha", { kind: "captcha" }, "blocked"],
    ["HTML", { kind: "html" }, "shape"],
    ["a renamed field", { kind: "renamed-field", from: "season", to: "saison" }, "shape"],
    ["no envelope", { kind: "no-envelope" }, "shape"],
    ["the page of a region block", { kind: "region-block" }, "shape|blocked"],
  ])("stores %s as a reading with its outcome, and no value at all", async (_what, request, outcome) => {
    await misbehave({ ...request, path: "/api/" });
    const [first] = await read("nodes");
    expect(first).toMatch(new RegExp(`^user/profile (${outcome})$`));
    const stored = await database
      .selectFrom("reading")
      .innerJoin("reading_body", "reading_id", "id")
      .select(["outcome", "body", "sha256"])
      .execute();
    expect(stored.length).toBeGreaterThan(0);
    expect(stored.every(({ outcome: how }) => new RegExp(`^(${outcome})$`).test(how))).toBe(true);
    expect(await factCount()).toBe(0);
    expect(await layers()).toEqual({});
  });

  it("leaves the network alone for as long as it asked", async () => {
    await misbehave({ kind: "too-many-requests", retryAfterSeconds: 600, path: "/api/", count: 1 });
    await read("nodes");
    expect(await read("nodes")).toEqual([]);
  });

  it("signs in again when its token is no longer good", async () => {
    await read("nodes");
    await misbehave({ kind: "signed-out", path: "/api/user/profile", count: 1 });
    expect(await read("nodes")).toEqual(["user/profile ok", "sentrynode/list ok"]);
  });

  it("does not take a network that was there before for one that is there now", async () => {
    await read("nodes");
    expect(await layers()).toMatchObject({ verdict: "Good/good" });
    const last = new Date();
    await beginUnread(database, key, last, new Date(last.getTime() + 1), "transient: HTTP 500", new Date());
    expect(await layers()).toMatchObject({ verdict: "unknown/unknown", reward: "unknown" });
    const back = new Date(last.getTime() + 10_000);
    await endUnread(database, key, back);
    expect(await gapRows(database, { limit: 10 })).toMatchObject([
      { kind: "not-read", from_at: last, to_at: back, reason: "transient: HTTP 500" },
    ]);
  });

  it("keeps a verdict verbatim: Unsupported with its reason, and a word never seen before as unknown", async () => {
    await misbehave({ kind: "unsupported", clientid, reason: "data centre address" });
    await read("nodes");
    expect(await layers()).toMatchObject({ verdict: "Unsupported/unsupported" });
    await misbehave({ kind: "node-status", clientid, status: "Hibernating" });
    await read("nodes");
    expect(await layers()).toMatchObject({ verdict: "Hibernating/unknown" });
  });

  it("says unknown of a node that the network does not know any more", async () => {
    await database.updateTable("network_node").set({ network_node_id: "c-unheard-of" }).execute();
    expect(await read("nodes")).toContain("sentrynode/get/c-unheard-of ok");
    expect(await layers()).toMatchObject({ verdict: "unknown/unknown", reward: "unknown" });
  });

  it("stores neither the password nor a token, even when an answer holds them", async () => {
    const secrets = (): readonly string[] => session.secrets();
    await read("nodes");
    const planted = JSON.stringify({ echo: secrets() });
    const echoing: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      return String(input).includes("sign-in") ? response : new Response(planted, { status: 200 });
    };
    session = practice.open(account, { ...world, fetch: echoing, now: () => new Date() });
    await read("nodes");
    const stored = JSON.stringify(await database.selectFrom("reading").selectAll().execute());
    expect(secrets().length).toBeGreaterThan(1);
    for (const secret of secrets()) expect(stored).not.toContain(secret);
    expect(stored).not.toMatch(/eyJ[A-Za-z0-9_-]{8,}\./);
  });

  it("stores a refused sign-in as such", async () => {
    session = practice.open({ ...account, password: "wrong" }, { ...world, now: () => new Date() });
    expect(await read("nodes")).toEqual(["practice/sign-in auth"]);
  });
});
