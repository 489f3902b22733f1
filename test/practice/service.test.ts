import { randomBytes, randomUUID } from "node:crypto";
import { readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { dayOf, unitsEarned, uptimeByDay } from "../../practice/reward.ts";
import {
  admin,
  data,
  endNetwork,
  eventually,
  heartbeatsOf,
  type NetworkProcess,
  practiceFolder,
  readIfThere,
  request,
  signIn,
  startNetwork,
} from "./network-process.ts";

/** As fast as the clock goes, so that full 10 minutes pass in 0.6 s. */
const fast = ["--speed", "1000"];

let directory: string;
let running: NetworkProcess;

beforeEach(async () => {
  directory = await practiceFolder();
  running = await startNetwork(directory, ...fast);
});

afterEach(async () => {
  await endNetwork(running, "SIGKILL");
  await rm(directory, { recursive: true });
});

interface HeartbeatAnswer {
  readonly relayed: readonly { id: string; nonce: string }[];
  readonly echoed: readonly { id: string; echo: string }[];
  readonly offered: string | null;
}

/** A node that speaks the extension's protocol, one step at a time. */
async function enrolled(installation: string = randomUUID()) {
  const { token } = await data<{ token: string }>(running.info, "POST", "/practice/enrol", {
    body: { code: running.info.enrolCode },
  });
  const ask = <T>(path: string, body: unknown) => data<T>(running.info, "POST", path, { body, token });
  const { clientid } = await ask<{ clientid: string }>("/practice/nodes", { installation, version: "1.0.0" });
  const nonce = randomBytes(16).toString("hex");
  return {
    clientid,
    token,
    nonce,
    ask,
    heartbeat: () => ask<HeartbeatAnswer>("/practice/heartbeats", { clientid, version: "1.0.0", nonce }),
  };
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface NodeJson {
  readonly id: string;
  readonly status: string;
  readonly active: boolean;
  readonly banned: boolean;
  readonly bannedReason: string | null;
  readonly score: number;
  readonly duration: number;
}

async function nodeJson(clientid: string): Promise<NodeJson> {
  return data<NodeJson>(running.info, "GET", `/api/sentrynode/get/${clientid}`, { token: await signIn(running.info) });
}

describe("its folder", () => {
  it("says where it listens, to its owner only, and no more once it has stopped", async () => {
    const file = join(directory, "service.json");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(running.info).toMatchObject({ label: "practice", speed: 1000, heartbeatSeconds: 30 });
    expect(running.info.account.email).toMatch(/^practice@.*\.invalid$/);
    expect(await endNetwork(running, "SIGTERM")).toBe(0);
    expect(await readIfThere(file)).toBeUndefined();
    expect(running.output()).not.toMatch(/warning/i);
  });

  it("keeps account, secrets, extension id, port and speed from one start to the next", async () => {
    await endNetwork(running, "SIGINT");
    const before = running.info;
    running = await startNetwork(directory);
    expect(running.info).toEqual({ ...before, pid: running.info.pid, startedAt: running.info.startedAt });
  });

  it("lets its extension use another address under which machines elsewhere see it", async () => {
    const hosts = async (): Promise<unknown> =>
      (
        JSON.parse(await readFile(join(running.info.extension.folder, "manifest.json"), "utf8")) as Record<
          string,
          unknown
        >
      ).host_permissions;
    expect(await hosts()).toEqual(["http://127.0.0.1/*"]);
    await endNetwork(running, "SIGTERM");
    running = await startNetwork(directory, "--seen-as", "10.0.2.2");
    expect(await hosts()).toEqual(["http://127.0.0.1/*", "http://10.0.2.2/*"]);
    expect(running.info.origin).toMatch(/^http:\/\/127\.0\.0\.1:/);
  });

  it("gives two folders different accounts, secrets and extensions", async () => {
    const second = await practiceFolder();
    const other = await startNetwork(second);
    try {
      for (const value of [running.info.account.password, running.info.adminToken, running.info.extension.id])
        expect(JSON.stringify(other.info)).not.toContain(value);
    } finally {
      await endNetwork(other, "SIGKILL");
      await rm(second, { recursive: true });
    }
  });

  it("takes another port when its last one is taken, and remembers that", async () => {
    await endNetwork(running, "SIGTERM");
    const squatter = createServer();
    await new Promise<void>((resolve) =>
      squatter.listen({ host: "127.0.0.1", port: Number(new URL(running.info.origin).port) }, resolve),
    );
    try {
      const before = running.info.origin;
      running = await startNetwork(directory);
      expect(running.info.origin).not.toBe(before);
    } finally {
      await new Promise((resolve) => squatter.close(resolve));
    }
    const moved = running.info.origin;
    await endNetwork(running, "SIGTERM");
    running = await startNetwork(directory);
    expect(running.info.origin).toBe(moved);
  });

  it("is refused to a second service, and so is a port that was asked for and is taken", async () => {
    await expect(startNetwork(directory)).rejects.toThrow(/ended with 1: .*held by another process/s);
    const second = await practiceFolder();
    const { port } = new URL(running.info.origin);
    await expect(startNetwork(second, "--port", port)).rejects.toThrow(/ended with 1: .*Port \d+ .*--port/s);
    await rm(second, { recursive: true });
  });

  it("names every mistake of a command line and exits with 2", async () => {
    await expect(startNetwork(directory, "--speed", "fast", "--port", "0", "--spede", "1")).rejects.toThrow(
      /ended with 2: .*--speed is "fast".*--port is "0".*--spede is not a known field/s,
    );
  });
});

describe("heartbeats and points", () => {
  it("pays by the rule for exactly the heartbeats that arrived", async () => {
    const node = await enrolled();
    for (let i = 0; i < 12; i++) {
      await node.heartbeat();
      await wait(150);
    }
    const { heartbeats, toleranceMs } = await heartbeatsOf(running.info, node.clientid);
    expect(heartbeats).toHaveLength(12);
    const days = uptimeByDay(heartbeats, toleranceMs);
    const units = [...days.values()].reduce((sum, ms) => sum + unitsEarned(ms, 0), 0n);
    expect(units).toBeGreaterThan(0n);

    const json = await nodeJson(node.clientid);
    expect(BigInt(json.score)).toBe(units);
    const token = await signIn(running.info);
    const body = { start: heartbeats[0]?.at, end: heartbeats.at(-1)?.at, type: "DAY" };
    const nodeDays = await data<{ id: string; duration: number }[]>(
      running.info,
      "POST",
      `/api/sentrynode/stats/${node.clientid}`,
      { body, token },
    );
    expect(nodeDays.filter(({ duration }) => duration > 0).map(({ id, duration }) => [id, duration])).toEqual(
      [...days].sort(),
    );
    const points = await data<{ id: string; node: number; referral: number; bonus: number; boost: number }[]>(
      running.info,
      "POST",
      "/api/point/stats",
      { body, token },
    );
    expect(points.reduce((sum, day) => sum + BigInt(day.node), 0n)).toBe(units);
    expect(points[0]?.id).toBe(dayOf(heartbeats[0]?.at ?? 0));
    const profile = await data<{ point: { total: number }; node: { sentry: number } }>(
      running.info,
      "POST",
      "/api/user/profile",
      { body: {}, token },
    );
    expect(BigInt(profile.point.total)).toBe(units);
    expect(profile.node.sentry).toBe(1);
  });

  it("loses no heartbeat that it acknowledged when it is killed in the middle of them", async () => {
    const nodes = await Promise.all([enrolled(), enrolled(), enrolled()]);
    const acknowledged = new Map(nodes.map(({ clientid }) => [clientid, 0]));
    let killed = false;
    const streams = nodes.map(async (node) => {
      while (!killed) {
        try {
          await node.heartbeat();
        } catch (error) {
          if (!killed) throw error;
          return;
        }
        acknowledged.set(node.clientid, (acknowledged.get(node.clientid) ?? 0) + 1);
      }
    });
    await eventually("50 heartbeats", () => (Math.min(...acknowledged.values()) >= 50 ? true : undefined));
    killed = true;
    await endNetwork(running, "SIGKILL");
    await Promise.all(streams);

    running = await startNetwork(directory);
    for (const [clientid, count] of acknowledged) {
      const { heartbeats, toleranceMs } = await heartbeatsOf(running.info, clientid);
      // One more may have been stored whose answer the kill swallowed.
      expect(heartbeats.length - count).toBeGreaterThanOrEqual(0);
      expect(heartbeats.length - count).toBeLessThanOrEqual(1);
      expect(heartbeats.map(({ n }) => n)).toEqual(heartbeats.map((_, i) => i + 1));
      const uptime = [...uptimeByDay(heartbeats, toleranceMs).values()].reduce((a, b) => a + b, 0);
      expect((await nodeJson(clientid)).duration).toBe(uptime);
    }
  });

  it("gives an installation its node again and answers 404 in the envelope for a node that is not there", async () => {
    const installation = randomUUID();
    expect((await enrolled(installation)).clientid).toBe((await enrolled(installation)).clientid);
    const token = await signIn(running.info);
    const absent = await request(running.info, "GET", `/api/sentrynode/get/${randomUUID()}`, { token });
    expect(absent.json.code).toBe(404);
  });
});

describe("taps", () => {
  const taps = (clientid: string, token: string) =>
    data<{ ttl: number; createAt: number }[]>(running.info, "GET", `/api/sentrynode/latency/list/${clientid}/5`, {
      token,
    });

  it("pays both sides once one node has verified what the other sent back", async () => {
    const [a, b] = await Promise.all([enrolled(), enrolled()]);
    expect((await a.heartbeat()).offered).toBeNull();
    const { offered } = await b.heartbeat();
    expect(offered).not.toBeNull();
    const { relayed } = await a.heartbeat();
    expect(relayed).toEqual([{ id: offered, nonce: b.nonce }]);
    await a.ask(`/practice/taps/${offered}/echo`, { clientid: a.clientid, echo: relayed[0]?.nonce });
    expect(await taps(a.clientid, a.token)).toEqual([]);
    expect((await b.heartbeat()).echoed).toEqual([{ id: offered, echo: b.nonce }]);
    const verdict = { clientid: b.clientid, verified: true };
    expect(await b.ask(`/practice/taps/${offered}/verdict`, verdict)).toEqual({ succeeded: true });
    for (const { clientid, token } of [a, b]) {
      expect((await nodeJson(clientid)).score).toBeGreaterThanOrEqual(75_000);
      const [tap, ...more] = await taps(clientid, token);
      expect(more).toEqual([]);
      expect(tap?.ttl).toBeGreaterThanOrEqual(0);
    }
    // A verdict counts once.
    const again = await request(running.info, "POST", `/practice/taps/${offered}/verdict`, {
      body: verdict,
      token: b.token,
    });
    expect(again.status).toBe(409);
    expect(await taps(a.clientid, a.token)).toHaveLength(1);
  });

  it("pays nobody for an echo that is not the nonce, whatever the initiator says", async () => {
    const [a, b] = await Promise.all([enrolled(), enrolled()]);
    await a.heartbeat();
    const { offered } = await b.heartbeat();
    await a.heartbeat();
    await a.ask(`/practice/taps/${offered}/echo`, { clientid: a.clientid, echo: "0".repeat(32) });
    await b.heartbeat();
    expect(await b.ask(`/practice/taps/${offered}/verdict`, { clientid: b.clientid, verified: true })).toEqual({
      succeeded: false,
    });
    expect(await taps(b.clientid, b.token)).toEqual([]);
  });

  it("takes an echo from the node it was relayed to only", async () => {
    const [a, b] = await Promise.all([enrolled(), enrolled()]);
    await a.heartbeat();
    const { offered } = await b.heartbeat();
    const early = await request(running.info, "POST", `/practice/taps/${offered}/echo`, {
      body: { clientid: a.clientid, echo: b.nonce },
      token: a.token,
    });
    expect(early.status).toBe(409);
    await a.heartbeat();
    const own = await request(running.info, "POST", `/practice/taps/${offered}/echo`, {
      body: { clientid: b.clientid, echo: b.nonce },
      token: b.token,
    });
    expect(own.status).toBe(409);
  });
});

describe("requests", () => {
  it("are refused with every wrong field named", async () => {
    const token = await signIn(running.info);
    const answer = await request(running.info, "POST", "/api/point/stats", {
      body: { start: -1, type: "WEEK", x: 1 },
      token,
    });
    expect(answer.status).toBe(400);
    for (const name of [
      "body.start is -1",
      "body.end is missing",
      'body.type is "WEEK"',
      "body.x is not a known field",
    ])
      expect(answer.json.msg).toContain(name);
  });

  it("are refused without a token, with another's, and with one that was changed", async () => {
    const token = await signIn(running.info);
    const [header, , signature] = token.split(".");
    const forged = Buffer.from(JSON.stringify({ sub: "x", iat: 0, exp: 9e9 })).toString("base64url");
    for (const bad of [undefined, "abc", running.info.adminToken, `${header}.${forged}.${signature}`]) {
      const answer = await request(running.info, "POST", "/api/user/profile", {
        body: {},
        ...(bad === undefined ? {} : { token: bad }),
      });
      expect([answer.status, answer.json.code]).toEqual([401, 401]);
    }
    const admins = await request(running.info, "GET", "/practice/admin/clock", { token });
    expect(admins.status).toBe(401);
  });

  it("with a wrong password or enrol code sign nobody in, and signing out ends the refresh token", async () => {
    const { email } = running.info.account;
    expect((await request(running.info, "POST", "/practice/sign-in", { body: { email, password: "x" } })).status).toBe(
      401,
    );
    expect((await request(running.info, "POST", "/practice/enrol", { body: { code: "x" } })).status).toBe(401);
    const { refresh } = await data<{ refresh: string }>(running.info, "POST", "/practice/sign-in", {
      body: running.info.account,
    });
    await data(running.info, "POST", "/practice/refresh", { body: { refresh } });
    await data(running.info, "POST", "/practice/sign-out", { body: { refresh } });
    expect((await request(running.info, "POST", "/practice/refresh", { body: { refresh } })).status).toBe(401);
  });

  it("for the list of nodes are filtered and paged", async () => {
    const nodes = [await enrolled(), await enrolled(), await enrolled()];
    await nodes[1]?.heartbeat();
    const token = await signIn(running.info);
    const list = (body: object) => data<NodeJson[]>(running.info, "POST", "/api/sentrynode/list", { body, token });
    const whole = { page: 1, size: 12, field: "active", direction: 0, active: "", banned: "" };
    const all = await list(whole);
    expect(all.map(({ id }) => id).sort()).toEqual(nodes.map(({ clientid }) => clientid).sort());
    expect(all.map(({ status }) => status)).toEqual(["Good", "Disconnected", "Disconnected"]);
    expect(await list({ ...whole, active: true })).toHaveLength(1);
    expect(await list({ ...whole, page: 2, size: 2 })).toHaveLength(1);
  });

  it("of an admin register invitees, which are read and nothing more", async () => {
    const token = await signIn(running.info);
    const stats = async () =>
      (await data<{ stats: unknown; point: unknown }>(running.info, "POST", "/api/user/profile", {
        body: {},
        token,
      })) as object;
    expect(await stats()).toMatchObject({ stats: { invitee: 0, pending: 0 }, point: { total: 0 } });
    await admin(running.info, "POST", "invitees", { count: 3, pending: 1 });
    expect(await stats()).toMatchObject({ stats: { invitee: 3, pending: 1 }, point: { total: 0 } });
  });
});

describe("misbehaviour", () => {
  const misbehave = (body: object) => admin<{ id: number }>(running.info, "POST", "misbehaviours", body);
  const profile = async (token: string) => request(running.info, "POST", "/api/user/profile", { body: {}, token });

  it("can be late", async () => {
    const token = await signIn(running.info);
    await misbehave({ kind: "late", ms: 400, path: "/api/user", count: 1 });
    const from = performance.now();
    expect((await profile(token)).json.code).toBe(200);
    expect(performance.now() - from).toBeGreaterThanOrEqual(395);
  });

  it.each([
    ["status", { kind: "status", status: 503 }, 503, /asked for/],
    ["status 500 by default", { kind: "status" }, 500, /"code":500/],
    ["too many requests", { kind: "too-many-requests", retryAfterSeconds: 7 }, 429, /"code":429/],
    ["signed out", { kind: "signed-out" }, 401, /"code":401/],
    ["a renamed field", { kind: "renamed-field", from: "point", to: "points" }, 200, /"points":\{"total"/],
    ["no envelope", { kind: "no-envelope" }, 200, /^\{"name":/],
    ["HTML", { kind: "html" }, 200, /^<!doctype html>/],
    ["a region block", { kind: "region-block" }, 200, /Sorry, Gradient is not yet available in your region\./],
    ["a captcha", { kind: "captcha" }, 403, /captcha/],
  ])("can be %s, as often as asked for and then no more", async (_name, body, status, text) => {
    const token = await signIn(running.info);
    const good = (await profile(token)).text;
    await misbehave({ ...body, path: "/api/user/profile", count: 2 });
    for (let i = 0; i < 2; i++) {
      const answer = await profile(token);
      expect(answer.status).toBe(status);
      expect(answer.text).toMatch(text);
      if (status === 429) expect(answer.headers.get("retry-after")).toBe("7");
    }
    const after = await profile(token);
    expect([after.status, after.text]).toEqual([200, good]);
  });

  it("keeps to its paths, ends by its time, and ends when cleared", async () => {
    const token = await signIn(running.info);
    await misbehave({ kind: "status", path: "/api/user", seconds: 1 });
    expect((await profile(token)).status).toBe(500);
    expect((await request(running.info, "GET", "/api/status")).status).toBe(200);
    await eventually("the end of it", async () => ((await profile(token)).status === 200 ? true : undefined), 5);
    await misbehave({ kind: "status" });
    expect((await request(running.info, "GET", "/dashboard")).status).toBe(500);
    expect(await admin(running.info, "GET", "misbehaviours")).toHaveLength(1);
    await admin(running.info, "DELETE", "misbehaviours");
    expect((await request(running.info, "GET", "/dashboard")).status).toBe(200);
  });

  it("survives a restart", async () => {
    await misbehave({ kind: "status", path: "/api/status", count: 2 });
    expect((await request(running.info, "GET", "/api/status")).status).toBe(500);
    await endNetwork(running, "SIGKILL");
    running = await startNetwork(directory);
    expect((await request(running.info, "GET", "/api/status")).status).toBe(500);
    expect((await request(running.info, "GET", "/api/status")).status).toBe(200);
  });

  it("can call a node Unsupported, which then earns nothing until it is supported again", async () => {
    const node = await enrolled();
    await node.heartbeat();
    const { id } = await misbehave({ kind: "unsupported", clientid: node.clientid, reason: "Data centre address" });
    await wait(700);
    await node.heartbeat();
    expect(await nodeJson(node.clientid)).toMatchObject({
      status: "Unsupported",
      active: false,
      banned: true,
      bannedReason: "Data centre address",
      duration: 0,
      score: 0,
    });
    await admin(running.info, "DELETE", `misbehaviours/${id}`);
    await node.heartbeat();
    expect(await nodeJson(node.clientid)).toMatchObject({
      status: "Good",
      banned: false,
      bannedReason: null,
      duration: 0,
    });
    await wait(50);
    await node.heartbeat();
    expect((await nodeJson(node.clientid)).duration).toBeGreaterThan(0);
  });

  it("can give a node a status that nobody has seen before", async () => {
    const node = await enrolled();
    await node.heartbeat();
    await misbehave({ kind: "node-status", clientid: node.clientid, status: "Hibernating <b>" });
    expect((await nodeJson(node.clientid)).status).toBe("Hibernating <b>");
  });

  it("that it does not know is refused", async () => {
    await expect(misbehave({ kind: "explode" })).rejects.toThrow(/400.*body\.kind is \\"explode\\"/s);
    await expect(misbehave({ kind: "late" })).rejects.toThrow(/400.*body\.ms is missing/s);
    await expect(misbehave({ kind: "unsupported", clientid: "no", reason: "x" })).rejects.toThrow(/404/);
  });
});

it("keeps the password, the tokens and the enrol code out of what it prints", async () => {
  await enrolled();
  await signIn(running.info);
  const text = await readFile(join(directory, "service.json"), "utf8");
  expect(text).toContain(running.info.enrolCode);
  for (const secret of [running.info.account.password, running.info.enrolCode, running.info.adminToken])
    expect(running.output()).not.toContain(secret);
});
