import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newKeyText, readKey, textOf } from "../../collector/credentials.ts";
import { type EmbeddedServer, startEmbedded } from "../../collector/store/embedded.ts";
import { eventually } from "../practice/network-process.ts";
import { type CollectorProcess, startCollectorProcess } from "./collector-process.ts";
import { writeInventory } from "./inventory.ts";

const run = promisify(execFile);
const deadlineMs = 5_000;

let home = "";
let databaseHome = "";
let database: EmbeddedServer | undefined;
let databaseUrl = "";
let collector: CollectorProcess | undefined;
let network: Server | undefined;
const asking = new Set<Socket>();

/** A network that takes every connection and never answers. */
async function silentNetwork(): Promise<string> {
  network = createServer((socket) => {
    asking.add(socket);
    socket.on("error", () => undefined).on("close", () => asking.delete(socket));
    socket.resume();
  });
  network.listen(0, "127.0.0.1");
  await once(network, "listening");
  return `http://127.0.0.1:${(network.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  databaseHome = await mkdtemp(join(tmpdir(), "stop-database-"));
  database = await startEmbedded(databaseHome, () => undefined);
});
afterAll(async () => {
  await database?.stop();
  await rm(databaseHome, { recursive: true, force: true });
});
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "stop-"));
  await writeInventory(join(home, "inventory.json"), []);
  // Of its own: what a collector could not give back, because its database hung, waits for the end of a lease.
  const name = `t${randomUUID().replaceAll("-", "")}`;
  const client = new pg.Client({ connectionString: database?.url("postgres") ?? "" });
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  databaseUrl = database?.url(name) ?? "";
});
afterEach(async () => {
  await collector?.end("SIGKILL");
  for (const socket of asking) socket.destroy();
  network?.close();
  collector = undefined;
  network = undefined;
  await rm(home, { recursive: true, force: true });
});

/** Starts a collector that reads an account, encrypted, of a network that never answers; returns when it is being asked. */
async function startAsking(): Promise<CollectorProcess> {
  const keyFile = join(home, "credentials.key");
  await writeFile(keyFile, newKeyText(), { mode: 0o600 });
  const account = {
    schema: 1,
    network: "practice",
    account: "main",
    label: "practice",
    origin: await silentNetwork(),
    email: "somebody@practice.invalid",
    password: "planted-password",
  };
  await mkdir(join(home, "networks"));
  await writeFile(join(home, "networks", "main.json"), textOf(account, "account", readKey(keyFile)), { mode: 0o600 });
  collector = await startCollectorProcess({
    DATABASE_URL: databaseUrl,
    DATA_DIR: join(home, "data"),
    INVENTORY: join(home, "inventory.json"),
    NETWORKS: join(home, "networks"),
    CREDENTIALS_KEY: keyFile,
    READ_CRON: "* * * * * *",
  });
  const { output } = collector;
  await eventually("the question to the network", () => (asking.size > 0 ? true : undefined)).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}: ${output()}`);
    },
  );
  return collector;
}

/** Returns the processes of the database, the first of them the one that starts the others. */
async function databaseProcesses(): Promise<number[]> {
  const file = await readFile(join(databaseHome, "cluster", "data", "postmaster.pid"), "utf8");
  const [first = ""] = file.split("\n");
  const { stdout } = await run("ps", ["-o", "pid=", "--ppid", first]);
  return [Number(first), ...stdout.trim().split(/\s+/).map(Number)];
}

describe("a collector that is told to stop", () => {
  it("ends the run that is under way and gives its due time back", async () => {
    const { url, end, output } = await startAsking();
    const reader = await fetch(`${url}/api/v1/stream`);
    const { code, ms } = await end("SIGTERM");
    await reader.body?.cancel().catch((error: unknown) => expect(error).toBeInstanceOf(Error));
    expect({ code, output: output() }).toMatchObject({ code: 0 });
    expect(ms).toBeLessThan(deadlineMs);
    expect(output()).toContain('"msg":"stopped"');
    expect(output()).not.toContain("planted-password");
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    const { rows } = await client.query<{ reason: string; free: boolean }>(
      "select reason, lease_until <= clock_timestamp() as free from run where finished_at is null and attempts > 0",
    );
    await client.end();
    expect(rows).toEqual([{ reason: "the collector was stopped", free: true }]);
  });

  it("ends in time although its database hangs, and answers meanwhile that it is not ready", async () => {
    const { url, end } = await startAsking();
    const frozen = await databaseProcesses();
    for (const pid of frozen) process.kill(pid, "SIGSTOP");
    try {
      const answer = await fetch(`${url}/readyz`);
      expect({ status: answer.status, body: await answer.json() }).toMatchObject({
        status: 503,
        body: { ready: false, waiting: expect.arrayContaining(["database"]) as unknown },
      });
      const { code, ms } = await end("SIGTERM");
      expect(code).toBe(0);
      expect(ms).toBeLessThan(deadlineMs);
    } finally {
      for (const pid of frozen) process.kill(pid, "SIGCONT");
    }
  });

  it("ends in time although its database is gone", async () => {
    const { end } = await startAsking();
    await database?.stop();
    database = undefined;
    const { code, ms } = await end("SIGTERM");
    expect(code).toBe(0);
    expect(ms).toBeLessThan(deadlineMs);
  });
});
