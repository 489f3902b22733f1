import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { measureApp } from "../../cloud-init/agent/app.ts";
import { type NodeFile, nodePaths, writeJson } from "../../cloud-init/agent/folder.ts";
import { newMeasures } from "../../cloud-init/agent/measure.ts";
import { isDeaf, memoryStallIn, stallEvent } from "../../cloud-init/agent/sample.ts";

const probe = {
  kind: "extension",
  page: "popup.html",
  keys: { networkNodeId: "clientid", lastHeartbeatAt: "at" },
  lookSeconds: 300,
} as const;
const node: NodeFile = {
  schema: 1,
  key: "home/0",
  machineId: "machine",
  everySeconds: 10,
  workload: "sentry",
  revision: { machine: 1, software: 1 },
  units: [{ name: "browser", account: "unprivileged", exec: ["{browser}"], stopSeconds: 20 }],
  network: {
    name: "practice",
    origin: "http://127.0.0.1:1",
    extension: { id: "a".repeat(32), version: "1.0.0" },
    settings: {},
  },
  probes: { runtime: { kind: "unit", unit: "browser" }, app: probe },
};
const since = "2026-11-21T10:00:00.000Z";
const browser = { name: "browser", state: "up", pid: 1, since, restarts: 0, lastExit: null } as const;

let directory: string;
let server: Server;
/** A browser that has just begun: it lists what is awake, which is nothing. */
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "gl-profile-"));
  mkdirSync(join(directory, "state"));
  server = createServer((_request, response) => response.end("[]"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  newProfile();
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true });
});

function newProfile(): void {
  const { profile } = nodePaths(directory);
  rmSync(profile, { recursive: true, force: true });
  mkdirSync(profile);
  writeFileSync(
    join(profile, "DevToolsActivePort"),
    `${(server.address() as AddressInfo).port}\n/devtools/browser/x\n`,
  );
}

async function sample() {
  const measures = newMeasures();
  const reading = await measureApp(directory, node, probe, [browser], measures, new Date(Date.parse(since) + 1000));
  if (reading.memory !== undefined) writeJson(nodePaths(directory).app, reading.memory);
  return { ...reading, errors: measures.errors };
}

describe("a browser's profile", () => {
  it("is told as replaced once, with the network node that it took along, and never passed over", async () => {
    expect(await sample()).toMatchObject({ events: [], errors: [] });
    const { app } = nodePaths(directory);
    writeJson(app, { ...(await sample()).memory, networkNodeId: "node-1" });
    expect((await sample()).events).toEqual([]);
    newProfile();
    const after = await sample();
    expect(after.events).toEqual([{ name: "profile-replaced", network_node_id: "node-1" }]);
    expect(after.memory).toMatchObject({ networkNodeId: "node-1" });
    expect((await sample()).events).toEqual([]);
  });

  it("stays the same through restarts of the browser", async () => {
    await sample();
    const measures = newMeasures();
    const later = { ...browser, since: "2026-11-21T11:00:00.000Z" };
    const reading = await measureApp(directory, node, probe, [later], measures, new Date("2026-11-21T11:00:01.000Z"));
    expect(reading.events).toEqual([]);
  });

  it("of a browser that no longer answers is counted, for whoever restarts it", async () => {
    await sample();
    await new Promise((resolve) => server.close(resolve));
    const silent = [await sample(), await sample(), await sample()].map(({ memory }) => memory?.silent);
    expect(silent).toEqual([1, 2, 3]);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });

  it("is restarted for its silence once it had the time to start, and not while a slow machine starts it", () => {
    const minutesOn = (minutes: number): string => new Date(Date.parse(since) + minutes * 60_000).toISOString();
    expect(isDeaf({ state: "up", since }, 3, minutesOn(10))).toBe(true);
    expect(isDeaf({ state: "up", since }, 9, minutesOn(9))).toBe(false);
    expect(isDeaf({ state: "up", since }, 2, minutesOn(60))).toBe(false);
    expect(isDeaf({ state: "down", since }, 9, minutesOn(60))).toBe(false);
  });

  it("is restarted, and told of, once it spends most of its time waiting for memory", () => {
    const pressure =
      "some avg10=96.90 avg60=92.09 avg300=78.40 total=586237389\nfull avg10=26.24 avg60=25.33 avg300=21.51 total=1\n";
    expect(memoryStallIn(pressure)).toBe(78.4);
    expect(memoryStallIn("")).toBeUndefined();
    expect(stallEvent({ state: "up", memory_stall_percent: 78.4 })).toEqual({ name: "memory-stalled", percent: 78.4 });
    expect(stallEvent({ state: "up", memory_stall_percent: 20 })).toBeUndefined();
    expect(stallEvent({ state: "up" })).toBeUndefined();
    expect(stallEvent({ state: "down", memory_stall_percent: 78.4 })).toBeUndefined();
  });
});
