import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { understand } from "../../../../collector/networks/adapter.ts";
import { type MysteriumAccount, MysteriumAccount as Schema } from "../../../../collector/networks/mysterium/account.ts";
import { mysterium } from "../../../../collector/networks/mysterium/adapter.ts";
import { type Heard, type StandIn, standIn, type Told } from "../stand-in.ts";
import { fixtures, identity } from "./fixtures.ts";

/** A node's own API and its web interface, as they are documented: what they refuse and how. */
const world = { fetch, random: Math.random, stateDirectory: "/nowhere", opener: { key: null } };
const password = "mystberry-of-the-test";
const problem = (status: number, code: string): Told => ({
  status,
  type: "application/vnd.mysterium.error+json",
  body: { error: { code, message: "no" }, status, path: "/" },
});

let node: StandIn;
let tokens: string[];
let odd: Readonly<Record<string, Told>>;
let at: Date;

beforeEach(async () => {
  tokens = [];
  odd = {};
  at = new Date("2026-02-28T12:00:00Z");
  node = await standIn(answer);
});
afterEach(() => node.stop());

function answer({ method, path, headers, body }: Heard): Told {
  const web = path.startsWith("/tequilapi/");
  const call = web ? path.slice("/tequilapi/".length) : path.slice(1);
  // The node's own address takes no name but localhost; the web interface takes any and wants a token.
  if (!web && !/^(localhost|[0-9.]+|\[[0-9a-f:]+\])(:[0-9]+)?$/.test(headers.host ?? ""))
    return { status: 403, body: "" };
  if (call === "auth/authenticate" && method === "POST") {
    const given = JSON.parse(body) as { username?: string; password?: string };
    if (given.username !== "myst" || given.password !== password) return problem(401, "err_unauthorized");
    const token = `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(`${tokens.length}`).toString("base64url")}.c2ln`;
    tokens.push(token);
    return { body: { token, expires_at: "2026-03-02T12:00:00Z" } };
  }
  // The newest token alone is good, which stands for the 48 hours being over.
  if (web && headers.authorization !== `Bearer ${tokens.at(-1)}`) return { status: 401, body: "" };
  const strange = odd[call];
  if (strange !== undefined) return strange;
  const found = fixtures.find((fixture) => fixture.call.split(/[?#]/)[0] === call);
  return found === undefined ? problem(404, "not_found") : { body: found.body };
}

const account = (more: Partial<MysteriumAccount> = {}): MysteriumAccount => ({
  schema: 1,
  network: "mysterium",
  account: "node-1",
  label: "Mysterium",
  origin: node.origin,
  ...more,
});
const open = (more: Partial<MysteriumAccount> = {}) => mysterium.open(account(more), { ...world, now: () => at });

async function read(session: ReturnType<typeof open>, source: "nodes" | "days" = "nodes", since: Date | null = null) {
  const answers = await session.read(source, [], new AbortController().signal, since);
  const understood = answers.map((one) => ({ ...one, ...understand(mysterium, one) }));
  const outcomes = Object.fromEntries(understood.map(({ call, outcome }) => [call.split(/[?#]/)[0], outcome]));
  const facts = new Map(
    understood
      .flatMap((one) => one.facts)
      .map(({ metric, day, value, text }) => [`${metric}${day ? ` ${day}` : ""}`, value ?? text]),
  );
  return { outcomes, facts, answers, reasons: understood.map(({ reason }) => reason) };
}

const daysAsked = () => {
  const query = node.heard.find(({ path }) => path === "/sessions/stats-daily")?.query;
  return [query?.get("date_from"), query?.get("date_to")];
};

describe("reading a Mysterium node", () => {
  it("reads lifetime earnings in wei, the verdict of the network's monitoring, and what the services did", async () => {
    const { outcomes, facts } = await read(open());
    expect(new Set(Object.values(outcomes))).toEqual(new Set(["ok"]));
    expect(facts.get("points")).toBe(12_345_678_901_234_567_890n);
    expect(facts.get("stake")).toBe(10_000_000_000_000_000_001n);
    expect(facts.get("verdict")).toBe("success");
    expect(facts.get("process-uptime")).toBe(93_213_540_128_331n);
    expect(facts.get("quality")).toBe(2_150_000_095_367_431_600n);
    expect(facts.get("active")).toBe(150_000_000_000n);
    expect(facts.get("service:scraping")).toBe("NotRunning");
  });

  it("reads days of three days back, because a past day still grows", async () => {
    const { facts } = await read(open(), "days");
    expect(facts.get("earned-day 2026-02-27")).toBe(18_446_744_073_709_551_617n);
    expect(facts.get("sent-day 2026-02-27")).toBe(9_007_199_254_740_997n);
    expect(facts.get("sessions-day 2026-02-28")).toBe(0n);
    expect(facts.get("terms-current")).toBe("0.0.54");
    expect(daysAsked()).toEqual(["2026-02-25", "2026-02-28"]);
  });

  it("reads the days back to those that were missed", async () => {
    await read(open(), "days", new Date("2025-12-24T18:00:00Z"));
    expect(daysAsked()).toEqual(["2025-12-24", "2026-02-28"]);
  });

  it("takes neither an empty amount nor a zero that may be a failure for earnings of a service", async () => {
    const { facts } = await read(open(), "days");
    expect(facts.get("service-earnings:public")).toBe(250_000_000_000_000_007n);
    const names = [...facts.keys()].filter((name) => name.startsWith("service-earnings:"));
    expect(names).toEqual(["service-earnings:public", "service-earnings:scraping", "service-earnings:dvpn"]);
  });

  it("keeps the word unknown, which comes with status 200, and counts it as nothing known", async () => {
    odd = { "node/monitoring-status": { body: { status: "unknown" } } };
    const { facts } = await read(open());
    expect(facts.get("verdict")).toBe("unknown");
    expect(mysterium.classOf("unknown")).toBe("unknown");
    expect([mysterium.classOf("success"), mysterium.classOf("failed")]).toEqual(["good", "bad"]);
  });

  it("calls an empty lifetime amount a shape, and still reads what else the node answers", async () => {
    const empty = { wei: "", ether: "", human: "" };
    const body = {
      ...JSON.parse(fixtures.find(({ call }) => call.startsWith("identities/"))?.body ?? ""),
      earnings_total_tokens: empty,
    };
    odd = { [`identities/${identity}`]: { body } };
    const { outcomes, facts } = await read(open());
    expect(outcomes[`identities/${identity}`]).toBe("shape");
    expect(facts.has("points")).toBe(false);
    expect(facts.get("verdict")).toBe("success");
  });

  it("calls a foreign content type a shape: something else listens there", async () => {
    odd = { identities: { type: "text/html", body: "<html>router</html>" } };
    const { outcomes, facts } = await read(open());
    expect(outcomes).toEqual({ identities: "shape" });
    expect(facts.size).toBe(0);
  });

  it("tells the node's own error code, and goes on with the other questions", async () => {
    odd = { "node/provider/quality": problem(503, "err_quality_unavailable") };
    const { outcomes, reasons } = await read(open());
    expect(outcomes["node/provider/quality"]).toBe("transient");
    expect(outcomes["node/provider/activity-stats"]).toBe("ok");
    expect(reasons).toContain("HTTP 503: err_quality_unavailable");
  });

  it("says that an address asks for a sign-in which the account file does not have", async () => {
    const { outcomes, reasons } = await read(open({ origin: `${node.origin}/tequilapi` }));
    expect(outcomes).toEqual({ identities: "auth" });
    expect(reasons[0]).toMatch(/give signIn in the account file/);
  });

  it("signs in to the web interface once, and again when its token is over", async () => {
    const session = open({ origin: `${node.origin}/tequilapi`, signIn: { username: "myst", password } });
    expect((await read(session)).outcomes.identities).toBe("ok");
    expect(tokens).toHaveLength(1);
    tokens.push("another one");
    expect((await read(session)).outcomes.identities).toBe("ok");
    expect(tokens).toHaveLength(3);
    expect(session.secrets()).toEqual(expect.arrayContaining([password, tokens[0], tokens[2]]));
  });

  it("asks nothing more after a refused sign-in", async () => {
    const session = open({ origin: `${node.origin}/tequilapi`, signIn: { username: "myst", password: "wrong" } });
    expect((await read(session)).outcomes).toEqual({ "auth/authenticate": "auth" });
    expect(node.heard.map(({ path }) => path)).toEqual(["/tequilapi/auth/authenticate"]);
  });

  it("says of a 403 that the node takes no Host but an address, and leaves it alone for a while", async () => {
    const session = mysterium.open(account({ origin: node.origin.replace("127.0.0.1", "node.localhost") }), {
      ...world,
      fetch: (input, init) =>
        fetch(String(input).replace("node.localhost", "127.0.0.1"), { ...init, headers: { ...init?.headers } }),
      now: () => at,
    });
    odd = { identities: { status: 403, body: "" } };
    const { outcomes, reasons } = await read(session);
    expect(outcomes).toEqual({ identities: "blocked" });
    expect(reasons[0]).toMatch(/no Host but an IP address or localhost/);
    expect((await read(session)).answers).toEqual([]);
    at = new Date(at.getTime() + 600_000);
    odd = {};
    expect((await read(session)).outcomes.identities).toBe("ok");
  });

  it("attributes the node's own answers to no identity where it has several and none is named", async () => {
    const second = identity.replace("aa", "bb");
    odd = { identities: { body: { identities: [{ id: identity }, { id: second }] } } };
    const { answers } = await read(open());
    expect(answers.map(({ call }) => call)).toContain("node/monitoring-status");
    expect((await read(open({ identity }))).answers.map(({ call }) => call)).toContain(
      `node/monitoring-status#${identity}`,
    );
  });

  it("only ever reads: nothing but the sign-in is posted", async () => {
    const session = open({ origin: `${node.origin}/tequilapi`, signIn: { username: "myst", password } });
    await read(session);
    await read(session, "days");
    const posted = node.heard.filter(({ method }) => method !== "GET").map(({ path }) => path);
    expect(new Set(posted)).toEqual(new Set(["/tequilapi/auth/authenticate"]));
  });

  it("says that nobody answers where nobody listens", async () => {
    await node.stop();
    const { outcomes, reasons } = await read(open());
    expect(outcomes).toEqual({ identities: "transient" });
    expect(reasons[0]).toMatch(/^no answer: /);
  });

  it("refuses an address by name, which the node would answer with 403, and takes the web interface's", () => {
    const issues = (origin: string) =>
      Schema.safeParse(account({ origin })).error?.issues.map(({ path }) => path.join("."));
    expect(issues("http://myst:4050")).toEqual(["origin"]);
    expect(issues("http://[::1]:4050")).toBeUndefined();
    expect(issues("http://localhost:4050")).toBeUndefined();
    expect(issues("http://myst:4449/tequilapi")).toBeUndefined();
  });
});
