import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { GradientAccount } from "../../../../collector/networks/gradient/account.ts";
import { gradient } from "../../../../collector/networks/gradient/adapter.ts";
import { openGradient } from "../../../../collector/networks/gradient/session.ts";
import { playwrightsFeatures } from "../../../../collector/networks/gradient/visit.ts";
import { understandAnswer } from "../../../../collector/networks/read.ts";
import { findBrowser } from "../../../../infra/browser.ts";
import { processesOf } from "../../../harness/checkout.ts";
import {
  admin,
  data,
  endNetwork,
  type NetworkProcess,
  practiceFolder,
  signIn,
  startNetwork,
} from "../../../practice/network-process.ts";
import { enrolledNode } from "../../enrolled-node.ts";
import { standIn } from "../stand-in.ts";

/** The adapter in a real browser against the practice dashboard, which stands in for the network's own. */
let network: NetworkProcess;
let folder: string;
let stateDirectory: string;
let clientid: string;
let at: Date;
let delays: number;

beforeAll(async () => {
  folder = await practiceFolder();
  network = await startNetwork(folder);
  clientid = await enrolledNode(network);
});
afterAll(async () => {
  await endNetwork(network, "SIGTERM");
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  // A node is Good as long as its heartbeats come.
  const body = { clientid, version: "1.0.0", nonce: "0".repeat(32) };
  await data(network.info, "POST", "/practice/heartbeats", { body, token: await signIn(network.info) });
  at = new Date("2026-06-01T00:00:00Z");
  delays = 0;
  stateDirectory = await mkdtemp(join(tmpdir(), "sessions-"));
});
afterEach(async () => {
  await admin(network.info, "DELETE", "misbehaviours");
  await rm(stateDirectory, { recursive: true });
});

const shownMetrics = ["verdict", "taps-today-shown", "uptime-today-shown", "points-today-shown", "points-shown"];

const misbehave = (request: Readonly<Record<string, unknown>>) => admin(network.info, "POST", "misbehaviours", request);

function open(more: Readonly<Record<string, unknown>> = {}, { apartMs = 0, patienceMs = 15_000 } = {}) {
  const { origin, account } = network.info;
  const file = GradientAccount.parse({
    schema: 1,
    network: "gradient",
    account: "main",
    label: "Gradient",
    origin,
    api: `${origin}/api`,
    ...account,
    ...more,
  });
  const random = (): number => {
    delays += 1;
    return 0.5;
  };
  const world = { fetch, now: () => at, random, stateDirectory, opener: { key: null } };
  return openGradient(file, world, { apartMs, jitterMs: 2, patienceMs });
}

async function read(session: ReturnType<typeof open>) {
  const answers = await session.read("dashboard", [], new AbortController().signal);
  const understood = answers.map((answer) => understandAnswer(gradient, session, answer));
  return {
    outcomes: Object.fromEntries(understood.map(({ answer, outcome }) => [answer.call.split("?")[0], outcome])),
    reasons: understood.map(({ reason }) => reason ?? "").filter((reason) => reason !== ""),
    facts: understood.flatMap(({ facts }) => facts),
    stored: understood.map(({ body }) => body).join("\n"),
    told: (metric: string) => {
      const fact = understood.flatMap(({ facts }) => facts).find((one) => one.metric === metric);
      return fact === undefined ? undefined : (fact.text ?? fact.value);
    },
  };
}

const memory = async (): Promise<{ stopped: { reason: string } | null; session: unknown }> => {
  const [name = ""] = await readdir(stateDirectory);
  return JSON.parse(await readFile(join(stateDirectory, name), "utf8"));
};

describe("the gradient adapter on a dashboard that behaves", () => {
  it("signs in by the form, reads what the page receives and shows, and runs no browser afterwards", async () => {
    const session = open();
    const { outcomes, told, stored } = await read(session);
    expect(outcomes).toEqual({
      "user/profile": "ok",
      "point/stats": "ok",
      status: "ok",
      "sentrynode/list": "ok",
      "page/nodes": "ok",
    });
    expect(told("verdict")).toBe("Good");
    expect(told("points")).toBe(0n);
    expect(told("nodes")).toBe(1n);
    expect(told("uptime-today-shown")).toBeTypeOf("bigint");
    for (const secret of session.secrets()) expect(stored).not.toContain(secret);
    expect(session.secrets().length).toBeGreaterThan(2);
    expect(await browsersOfThisRun()).toEqual([]);
  });

  it("keeps its session for its owner alone, and does not sign in again while it is good", async () => {
    await read(open());
    const [name = ""] = await readdir(stateDirectory);
    expect((await stat(join(stateDirectory, name))).mode & 0o777).toBe(0o600);
    expect(JSON.stringify((await memory()).session)).toContain("loginInfo");
    await misbehave({ kind: "status", status: 500, path: "/practice/sign-in" });
    expect((await read(open())).outcomes["page/nodes"]).toBe("ok");
  });

  it("announces itself as the browser it is", async () => {
    const page = await standIn(({ path }) => ({
      type: path === "/dashboard" ? "text/html" : "application/json",
      body: path === "/dashboard" ? "<script>fetch('/seen/' + navigator.webdriver)</script>" : {},
    }));
    try {
      const { outcomes, reasons } = await read(open({ origin: page.origin }, { patienceMs: 2_000 }));
      expect(outcomes).toEqual({ "page/dashboard": "shape" });
      expect(reasons[0]).toMatch(/none of the marks it is known by/);
      expect(page.heard.map(({ path }) => path)).toContain("/seen/true");
      for (const { headers } of page.heard) expect(headers["user-agent"]).toMatch(/HeadlessChrome/);
    } finally {
      await page.stop();
    }
  });

  it("signs in again when its session has expired", async () => {
    await read(open());
    await misbehave({ kind: "signed-out", path: "/api/user", count: 1 });
    await misbehave({ kind: "signed-out", path: "/practice/refresh", count: 1 });
    const { outcomes } = await read(open());
    expect(outcomes["user/profile"]).toBe("ok");
    expect(outcomes["page/nodes"]).toBe("ok");
  });

  it("reads at most once in the time that lies between two readings, over restarts too, after a wait of its own", async () => {
    await read(open({}, { apartMs: 1_800_000 }));
    at = new Date(at.getTime() + 1_799_000);
    expect((await read(open({}, { apartMs: 1_800_000 }))).outcomes).toEqual({});
    at = new Date(at.getTime() + 1_000);
    expect((await read(open({}, { apartMs: 1_800_000 }))).outcomes["page/nodes"]).toBe("ok");
    expect(delays).toBe(2);
  });
});

describe("the gradient adapter on a dashboard that misbehaves", () => {
  it("tries a wrong password once", async () => {
    const session = open({ password: "wrong" });
    const first = await read(session);
    expect(first.outcomes["sign-in"]).toBe("auth");
    expect(first.facts).toEqual([]);
    await misbehave({ kind: "html", path: "/" });
    const second = await read(session);
    expect(second.outcomes).toEqual({ "sign-in": "auth" });
    expect(second.reasons[0]).toMatch(/not tried again until the account file changes/);
  });

  it.each([
    ["the page of a region block", { kind: "region-block", path: "/dashboard" }, /region/],
    ["a captcha", { kind: "captcha", path: "/dashboard" }, /403|captcha/],
    ["a 403 of the page", { kind: "status", status: 403, path: "/dashboard" }, /403/],
    ["a 403 of its data", { kind: "status", status: 403, path: "/api/user" }, /403/],
    ["new terms", { kind: "terms", path: "/dashboard" }, /terms/],
  ])("stops at %s and asks nothing more, over restarts too", async (_what, request, reason) => {
    await misbehave(request);
    const first = await read(open());
    expect(Object.values(first.outcomes)).toContain("blocked");
    expect(first.facts.filter(({ networkNodeId }) => networkNodeId !== null)).toEqual([]);
    expect((await memory()).stopped?.reason).toMatch(reason);
    const second = await read(open());
    expect(second.outcomes).toEqual({ stopped: "blocked" });
    expect(second.reasons[0]).toMatch(/set resumedAt in the account file/);
  });

  it("goes on when a person says so, after the stop and not before it", async () => {
    await misbehave({ kind: "captcha", path: "/dashboard", count: 1 });
    await read(open());
    expect((await read(open({ resumedAt: "2026-05-31T23:59:59Z" }))).outcomes).toEqual({ stopped: "blocked" });
    at = new Date(at.getTime() + 60_000);
    expect((await read(open({ resumedAt: at.toISOString() }))).outcomes["page/nodes"]).toBe("ok");
  });

  it("stops at Suspended, with the word stored as it was read", async () => {
    await misbehave({ kind: "node-status", clientid, status: "Suspended" });
    expect((await read(open())).told("verdict")).toBe("Suspended");
    expect((await memory()).stopped?.reason).toBe("a node is Suspended");
    expect((await read(open())).outcomes).toEqual({ stopped: "blocked" });
  });

  it("leaves the network alone for as long as a 429 asks, over restarts too", async () => {
    await misbehave({ kind: "too-many-requests", retryAfterSeconds: 7_200, path: "/api/user" });
    const { outcomes, facts } = await read(open());
    expect(outcomes["user/profile"]).toBe("rate-limited");
    expect(facts).toEqual([]);
    await admin(network.info, "DELETE", "misbehaviours");
    at = new Date(at.getTime() + 7_199_000);
    expect((await read(open())).outcomes).toEqual({});
    at = new Date(at.getTime() + 60_000);
    expect((await read(open())).outcomes["page/nodes"]).toBe("ok");
  });

  it("keeps a status that it never saw, and a reason of Unsupported, word by word", async () => {
    await misbehave({ kind: "unsupported", clientid, reason: "data centre address" });
    const first = await read(open());
    expect([first.told("verdict"), first.told("verdict-reason")]).toEqual(["Unsupported", "data centre address"]);
    await misbehave({ kind: "node-status", clientid, status: "Hibernating" });
    expect((await read(open())).told("verdict")).toBe("Hibernating");
  });

  it.each([
    ["HTML in place of the list", { kind: "html", path: "/api/sentrynode" }, false],
    ["a list without its envelope", { kind: "no-envelope", path: "/api/sentrynode" }, false],
    ["an empty list where the profile counts nodes", { kind: "empty-list", path: "/api/sentrynode" }, false],
    ["a renamed field", { kind: "renamed-field", from: "season", to: "saison", path: "/api/sentrynode" }, true],
    ["a field never seen before", { kind: "added-field", name: "stake", path: "/api/sentrynode" }, true],
  ])("stores %s as a shape, and reads of its nodes at most what the table shows", async (_what, request, shown) => {
    await misbehave(request);
    const { outcomes, facts, stored } = await read(open());
    expect(outcomes["sentrynode/list"]).toBe("shape");
    expect(outcomes["user/profile"]).toBe("ok");
    expect(stored.length).toBeGreaterThan(0);
    const ofNodes = facts.filter(({ networkNodeId }) => networkNodeId !== null).map(({ metric }) => metric);
    // The page shows no table where its own script did not understand the list either.
    expect(new Set(ofNodes)).toEqual(new Set(shown ? shownMetrics : []));
  });

  it("waits for an answer that is late, and reads nothing of one that does not come in time", async () => {
    await misbehave({ kind: "late", ms: 2_000, path: "/api/sentrynode" });
    const slow = await read(open());
    expect([slow.outcomes["sentrynode/list"], slow.told("verdict")]).toEqual(["ok", "Good"]);
    await admin(network.info, "DELETE", "misbehaviours");
    await misbehave({ kind: "late", ms: 600_000, path: "/api/" });
    const { outcomes, facts } = await read(open({}, { patienceMs: 5_000 }));
    expect(Object.values(outcomes)).toEqual(["transient"]);
    expect(facts).toEqual([]);
    expect((await memory()).stopped).toBeNull();
  });

  it("calls 500s transient and reads nothing", async () => {
    await misbehave({ kind: "status", status: 500, path: "/api/" });
    const { outcomes, facts } = await read(open());
    expect(outcomes["user/profile"]).toBe("transient");
    expect(facts).toEqual([]);
    expect((await memory()).stopped).toBeNull();
  });

  it("says that nobody answers where nobody listens", async () => {
    const { outcomes, reasons } = await read(open({ origin: "http://127.0.0.1:9" }));
    expect(outcomes).toEqual({ "page/dashboard": "transient" });
    expect(reasons[0]).toMatch(/the browser says/);
  });
});

it("switches off in the browser whatever Playwright itself does, and more", async () => {
  const { path } = await findBrowser();
  const plain = await chromium.launchServer({ executablePath: path, chromiumSandbox: process.getuid?.() !== 0 });
  const word = plain.process().spawnargs.find((one) => one.startsWith("--disable-features="));
  await plain.close();
  const features = word?.slice("--disable-features=".length).split(",");
  expect(features?.toSorted()).toEqual(playwrightsFeatures.toSorted());
});

/** The command lines of the browsers that the tests of this run have running. */
async function browsersOfThisRun(): Promise<string[]> {
  const run = process.env.GRADIENTLAB_TEST_RUN;
  if (run === undefined) throw new Error("the run has no folder of its own");
  return processesOf(run).filter((line) => /chrom/.test(line));
}
