import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { understand } from "../../../../collector/networks/adapter.ts";
import { RipeAtlasAccount } from "../../../../collector/networks/ripe-atlas/account.ts";
import { ripeAtlas } from "../../../../collector/networks/ripe-atlas/adapter.ts";
import { type Heard, type StandIn, standIn, type Told } from "../stand-in.ts";
import { fixtures, probe } from "./fixtures.ts";

/** The public API as it is documented: pages of at most 500, filters it does not know ignored, refusals as JSON. */
const world = { fetch, random: Math.random, stateDirectory: "/nowhere", opener: { key: null } };
const apiKey = "01234567-89ab-cdef-0123-456789abcdef";
const known = Array.from({ length: 700 }, (_, index) => probe(1_000 + index));
const refusal = (status: number, title: string, detail: string): Told => ({
  status,
  body: { error: { status, code: 0, title, detail } },
});

let api: StandIn;
let odd: Told | null;
let filterName: string;
let pageSize: number;
let at: Date;

beforeEach(async () => {
  odd = null;
  filterName = "id__in";
  pageSize = 500;
  at = new Date("2026-02-28T12:00:00Z");
  api = await standIn(answer);
});
afterEach(() => api.stop());

function answer({ path, query, headers }: Heard): Told {
  if (odd !== null) return odd;
  const key = headers.authorization;
  if (key !== undefined && key !== `Key ${apiKey}`) return refusal(403, "Forbidden", "The key is not valid.");
  if (path === "/api/v2/credits/" && key !== undefined) return { body: fixtures.at(-1)?.body ?? "" };
  if (path !== "/api/v2/probes/" && path !== "/api/v2/probes/my/") return refusal(404, "Not Found", "No such thing.");
  const ids = query.get(filterName)?.split(",").map(Number);
  const found = ids === undefined ? known : known.filter(({ id }) => ids.includes(Number(id)));
  const size = Math.min(Number(query.get("page_size") ?? 50), pageSize);
  const page = Number(query.get("page") ?? 1);
  const next = new URL(path, api.origin);
  for (const [name, value] of query) next.searchParams.set(name, value);
  next.searchParams.set("page", String(page + 1));
  const results = found.slice((page - 1) * size, page * size);
  return {
    body: { count: found.length, next: page * size < found.length ? next.href : null, previous: null, results },
  };
}

const account = (more: Readonly<Record<string, unknown>> = {}): RipeAtlasAccount =>
  RipeAtlasAccount.parse({
    schema: 1,
    network: "ripe-atlas",
    account: "me",
    label: "RIPE Atlas",
    origin: api.origin,
    ...more,
  });
const open = (more: Readonly<Record<string, unknown>> = {}) =>
  ripeAtlas.open(account(more), { ...world, now: () => at });

async function read(session: ReturnType<typeof open>, source: "nodes" | "credits" = "nodes", ids: string[] = []) {
  const answers = await session.read(source, ids, new AbortController().signal);
  const understood = answers.map((one) => ({ ...one, ...understand(ripeAtlas, one) }));
  return {
    outcomes: understood.map(({ outcome }) => outcome),
    reasons: understood.map(({ reason }) => reason),
    facts: understood.flatMap(({ facts }) => facts),
    retold: new Set(understood.flatMap(({ facts }) => facts.map(({ networkNodeId }) => networkNodeId))),
  };
}

describe("reading RIPE Atlas", () => {
  it("reads the probes of the account file and of the fleet in one call, with the network's own words", async () => {
    const { outcomes, facts, retold } = await read(open({ probes: [1_001, 1_002] }), "nodes", ["1003", "not-a-probe"]);
    expect(outcomes).toEqual(["ok"]);
    expect([...retold]).toEqual(["1001", "1002", "1003"]);
    expect(facts.find(({ metric }) => metric === "verdict")?.text).toBe("Connected");
    expect(facts.find(({ metric }) => metric === "uptime")?.value).toBe(88_123_456n);
    expect(api.heard).toHaveLength(1);
    expect(api.heard[0]?.headers.authorization).toBeUndefined();
  });

  it("follows the next page until there is none", async () => {
    pageSize = 60;
    const ids = known.slice(0, 150).map(({ id }) => String(id));
    const { outcomes, retold } = await read(open(), "nodes", ids);
    expect(outcomes).toEqual(["ok", "ok", "ok"]);
    expect(retold.size).toBe(150);
  });

  it("does not take the answer of an ignored filter for an answer: ids that nobody asked for are a shape", async () => {
    filterName = "renamed";
    const { outcomes, reasons, facts } = await read(open({ probes: [1_650] }));
    expect(outcomes).toEqual(["shape"]);
    expect(reasons[0]).toMatch(/not asked for: the filter was ignored/);
    expect(facts).toEqual([]);
    expect(api.heard).toHaveLength(1);
  });

  it("follows no page to another address, which would get the key", async () => {
    odd = {
      body: {
        count: 2,
        next: "https://elsewhere.example/api/v2/probes/?page=2",
        previous: null,
        results: [probe(1_001)],
      },
    };
    const { outcomes, reasons } = await read(open({ probes: [1_001], apiKey }));
    expect(outcomes).toEqual(["shape"]);
    expect(reasons[0]).toMatch(/elsewhere\.example/);
  });

  it("reads credits with a key, and without one asks for none", async () => {
    const { outcomes, facts } = await read(open({ apiKey }), "credits");
    expect(outcomes).toEqual(["ok"]);
    expect(facts.find(({ metric }) => metric === "balance")?.value).toBe(18_014_398_509_481_985n);
    expect(api.heard[0]?.headers.authorization).toBe(`Key ${apiKey}`);
    expect((await read(open(), "credits")).outcomes).toEqual([]);
  });

  it("reads the account's own probes where none is named", async () => {
    const { outcomes, retold } = await read(open({ apiKey }));
    expect(outcomes).toEqual(["ok", "ok"]);
    expect(retold.size).toBe(700);
    expect(api.heard[0]?.path).toBe("/api/v2/probes/my/");
  });

  it("calls a refused key auth, with the network's words and without the key", async () => {
    const other = apiKey.replace("0", "f");
    const session = open({ probes: [1_001], apiKey: other });
    const { outcomes, reasons } = await read(session);
    expect(outcomes).toEqual(["auth"]);
    expect(reasons[0]).toBe("HTTP 403: refused (The key is not valid.)");
    expect(session.secrets()).toEqual([other]);
  });

  it("calls a 403 page that is not the API's blocked", async () => {
    odd = { status: 403, type: "text/html", body: "<html>blocked</html>" };
    expect((await read(open({ probes: [1_001], apiKey }))).outcomes).toEqual(["blocked"]);
  });

  it("leaves the network alone for as long as a 429 asks", async () => {
    const session = open({ probes: [1_001] });
    odd = { ...refusal(429, "Too many requests", "Slow down."), headers: { "retry-after": "7200" } };
    expect((await read(session)).outcomes).toEqual(["rate-limited"]);
    odd = null;
    at = new Date(at.getTime() + 7_199_000);
    expect((await read(session)).outcomes).toEqual([]);
    at = new Date(at.getTime() + 1_000);
    expect((await read(session)).outcomes).toEqual(["ok"]);
  });

  it("calls 5xx transient and HTML in place of JSON a shape", async () => {
    odd = { status: 502, type: "text/html", body: "<html>Bad Gateway</html>" };
    expect((await read(open({ probes: [1_001] }))).outcomes).toEqual(["transient"]);
    odd = { type: "text/html", body: "<html>maintenance</html>" };
    expect((await read(open({ probes: [1_001] }))).outcomes).toEqual(["shape"]);
  });

  it("keeps the probes' places and addresses out of the facts", async () => {
    const { facts } = await read(open({ probes: [1_001] }));
    expect(JSON.stringify(facts.map(({ metric, text }) => [metric, text]))).not.toMatch(/192\.0\.2\.7|50\.1/);
  });
});
