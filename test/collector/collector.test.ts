import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import type { GapItem, NodeItem, SampleItem, StateItem } from "../../collector/api/types.ts";
import { endNetwork, eventually, practiceFolder, startNetwork } from "../practice/network-process.ts";
import { type CollectorProcess, runToEnd, startCollectorProcess } from "./collector-process.ts";
import { enrolledNode } from "./enrolled-node.ts";
import { nodeRecord, writeInventory } from "./inventory.ts";
import { agentFolder, type NodeFolder, nodeFolder } from "./node-folder.ts";

let home = "";
let collectors: CollectorProcess[] = [];
let locks: (() => void)[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "collector-"));
  collectors = [];
  locks = [];
});
afterEach(async () => {
  for (const release of locks) release();
  for (const collector of collectors) await collector.end("SIGTERM");
  await rm(home, { recursive: true, force: true });
});
afterAll(async () => {
  const folder = await agentFolder();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

const environment = (): Record<string, string> => ({
  DATA_DIR: join(home, "data"),
  INVENTORY: join(home, "inventory.json"),
  NETWORKS: join(home, "networks"),
  SPOOL: join(home, "spool"),
  PULL_SECONDS: "2",
});

async function start(other: Record<string, string> = {}): Promise<CollectorProcess> {
  const collector = await startCollectorProcess({ ...environment(), ...other });
  collectors.push(collector);
  return collector;
}

async function node(key: string, options: Parameters<typeof nodeFolder>[2] = {}): Promise<NodeFolder> {
  const folder = await nodeFolder(join(home, "nodes"), key, options);
  locks.push(folder.live());
  return folder;
}

const inventory = (nodes: readonly NodeFolder[]): Promise<void> =>
  writeInventory(
    join(home, "inventory.json"),
    nodes.map(({ key, machineId, directory }) => nodeRecord(key, machineId, directory)),
  );

async function get<Answer>(collector: CollectorProcess, path: string): Promise<Answer> {
  const response = await fetch(`${collector.url}${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Answer;
}

async function all<Item>(collector: CollectorProcess, path: string): Promise<Item[]> {
  const items: Item[] = [];
  for (let after = ""; ; ) {
    const page = await get<{ items: Item[]; next: string | null }>(
      collector,
      `/api/v1/${path}${path.includes("?") ? "&" : "?"}limit=500${after}`,
    );
    items.push(...page.items);
    if (page.next === null) return items;
    after = `&after=${page.next}`;
  }
}

const samples = (collector: CollectorProcess, key: string): Promise<SampleItem[]> =>
  all<SampleItem>(collector, `nodes/${key}/samples?order=asc`);

async function waitForLines(collector: CollectorProcess, folder: NodeFolder, count: number): Promise<SampleItem[]> {
  return eventually(
    `${count} lines of ${folder.key}`,
    async () => {
      const lines = await samples(collector, folder.key);
      return lines.length >= count ? lines : undefined;
    },
    60,
  );
}

const up = { runtime: { state: "up", restarts: 0, pss_bytes: 1000 }, app: { state: "up" } } as const;

describe("the collector", () => {
  it("follows the nodes of the inventory and shows new lines within about a second", async () => {
    const one = await node("home/0");
    one.append(up);
    await inventory([one]);
    const collector = await start({ PULL_SECONDS: "3600" });
    await waitForLines(collector, one, 2);
    const from = Date.now();
    const { n } = one.append({
      kind: "event",
      event: { name: "unit-exited", unit: "browser", code: null, signal: "SIGKILL" },
    });
    await eventually("the new line", async () => {
      const lines = await samples(collector, "home/0");
      return lines.some((line) => line.n === n) ? true : undefined;
    });
    expect(Date.now() - from).toBeLessThan(3_000);
    const item = await get<NodeItem>(collector, "/api/v1/nodes/home/0");
    expect(item.layers.runtime).toMatchObject({ value: "down", name: "browser", reason: "browser ended by SIGKILL" });
    expect(item.layers.app).toMatchObject({ value: "down", name: "extension" });
    expect(item.layers.machine.value).toBe("up");
    expect(item).toMatchObject({ practice: true, restarts: 0, pssBytes: 1000, gone: false, points: null });
    expect(item.lastSampleAt).not.toBeNull();
  });

  it("streams changes and resumes after the last one seen", async () => {
    const one = await node("home/0");
    one.append(up);
    await inventory([one]);
    const collector = await start();
    await waitForLines(collector, one, 2);
    const first = await streamUntil(collector, "", (text) => {
      if (!text.includes("retry:")) return undefined;
      return true;
    });
    expect(first).toContain("retry:");
    one.append(up);
    const seen = await streamUntil(collector, "?after=0", (text) =>
      /subject":"home\/0"/.test(text) ? true : undefined,
    );
    const ids = [...seen.matchAll(/^id: ([0-9]+)$/gm)].map((match) => Number(match[1]));
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    const last = ids.at(-1) ?? 0;
    one.append(up);
    const resumed = await streamUntil(collector, `?after=${last}`, (text) => (/^id: /m.test(text) ? true : undefined));
    expect(Number(/^id: ([0-9]+)$/m.exec(resumed)?.[1])).toBeGreaterThan(last);
    const reset = await streamUntil(collector, "?after=999999", (text) =>
      text.includes("event: reset") ? true : undefined,
    );
    expect(reset).toContain("event: reset");
  });

  it("says unknown, never down and never zero, of a node that falls silent, and down when its agent says so", async () => {
    const silent = await node("home/0", { everySeconds: 1 });
    const dead = await nodeFolder(join(home, "nodes"), "home/1", { everySeconds: 1 });
    silent.append(up);
    dead.append(up);
    await inventory([silent, dead]);
    const collector = await start();
    const item = await eventually("silence", async () => {
      const now = await get<NodeItem>(collector, "/api/v1/nodes/home/0");
      return now.layers.machine.value === "up"
        ? undefined
        : now.layers.machine.reason.startsWith("nothing")
          ? undefined
          : now;
    });
    expect(item.layers.machine).toMatchObject({ value: "unknown", reason: "no sample comes" });
    const gone = await eventually("the agent's word", async () => {
      const now = await get<NodeItem>(collector, "/api/v1/nodes/home/1");
      return now.layers.machine.value === "down" ? now : undefined;
    });
    expect(gone.layers.machine.reason).toBe("its agent answers that nothing runs");
    silent.append(up);
    await eventually("its return", async () => {
      const now = await get<NodeItem>(collector, "/api/v1/nodes/home/0");
      return now.layers.machine.value === "up" ? true : undefined;
    });
    const states = (await all<StateItem>(collector, "nodes/home/0/states?layer=machine")).toReversed();
    expect(states.map(({ value }) => value)).toEqual(["up", "unknown", "up"]);
  });

  const kills = Number(process.env.KILLS ?? 6);

  it(
    "keeps every line once over kills at any moment, and fills no gap",
    async () => {
      const nodes = [await node("home/0"), await node("home/1")];
      for (const one of nodes) one.append(up);
      await inventory(nodes);
      let seed = Number(process.env.SEED ?? 7);
      const random = (): number => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        return seed / 2 ** 31;
      };
      for (let kill = 0; kill < kills; kill++) {
        const collector = await start();
        const writing = setInterval(() => {
          for (const one of nodes) one.append(up);
        }, 30);
        await new Promise((resolve) => setTimeout(resolve, random() * 700));
        clearInterval(writing);
        await collector.end("SIGKILL");
        for (const one of nodes) one.append({ kind: "event", event: { name: "written-while-away" } });
      }
      const collector = await start();
      for (const one of nodes) {
        const written = one.numbers();
        const lines = await waitForLines(collector, one, written.length);
        expect(lines.map(({ n }) => n)).toEqual(written);
        expect(await all<GapItem>(collector, `nodes/${one.key}/gaps`)).toEqual([]);
      }
    },
    300_000 + kills * 15_000,
  );

  it("imports the drained journal of a node that is gone, and of one it never knew", async () => {
    const one = await node("home/0");
    one.append(up);
    await inventory([one]);
    const collector = await start();
    await waitForLines(collector, one, 2);
    await collector.end("SIGTERM");
    one.append(up);
    one.append({ kind: "event", event: { name: "stopping" } });
    const unknown = await nodeFolder(join(home, "nodes"), "guest/4");
    unknown.append(up);
    unknown.append({ kind: "event", event: { name: "stopping" } });
    const files = [await one.drain(join(home, "spool")), await unknown.drain(join(home, "spool"))];
    await inventory([]);
    const again = await start();
    // Until then the collector does not know guest/4 at all.
    await eventually("the spool's end", () => (files.some((file) => existsSync(file)) ? undefined : true));
    expect((await waitForLines(again, one, 4)).map(({ n }) => n)).toEqual([1, 2, 3, 4]);
    expect((await waitForLines(again, unknown, 3)).map(({ n }) => n)).toEqual([1, 2, 3]);
    await eventually("its leaving", async () =>
      (await get<NodeItem>(again, "/api/v1/nodes/home/0")).gone ? true : undefined,
    );
    for (const key of ["home/0", "guest/4"]) {
      const item = await get<NodeItem>(again, `/api/v1/nodes/${key}`);
      expect(item.gone).toBe(true);
      expect(item.layers.machine.value).toBe("down");
      expect(await all<GapItem>(again, `nodes/${key}/gaps`)).toEqual([]);
    }
  });

  it("lets one node's trouble be that node's alone", async () => {
    const good = await node("home/0");
    const bad = await node("home/1");
    good.append(up);
    bad.append(up);
    await writeFile(join(bad.directory, "bin", "agent"), "#!/bin/sh\necho nonsense\n");
    await chmod(join(bad.directory, "bin", "agent"), 0o700);
    await inventory([good, bad]);
    const collector = await start();
    await waitForLines(collector, good, 2);
    await eventually("the warning", () => (/home\/1 was not pulled/.test(collector.output()) ? true : undefined));
    expect(await samples(collector, "home/1")).toEqual([]);
  });

  it("keeps the last good inventory when the file becomes broken or older", async () => {
    const one = await node("home/0");
    one.append(up);
    const file = join(home, "inventory.json");
    const record = nodeRecord("home/0", one.machineId, one.directory);
    await writeInventory(file, [record], new Date(Date.now() - 1000));
    const collector = await start();
    await writeFile(file, '{"schema": 1, "sha256": ');
    await eventually("the refusal", () => (/was refused: it is not JSON/.test(collector.output()) ? true : undefined));
    await writeInventory(file, [], new Date(Date.now() - 3_600_000));
    await eventually("the refusal", () =>
      /it is older than the one in force/.test(collector.output()) ? true : undefined,
    );
    expect(await get<NodeItem>(collector, "/api/v1/nodes/home/0")).toMatchObject({ gone: false });
    await writeInventory(file, []);
    await eventually("its leaving", async () =>
      (await get<NodeItem>(collector, "/api/v1/nodes/home/0")).gone ? true : undefined,
    );
  });

  it("reads a network by its account file, and repeats no old answer when the network is away", async () => {
    const folder = await practiceFolder();
    const network = await startNetwork(folder);
    try {
      const one = await node("home/0");
      one.append({ ...up, app: { state: "up", looked: true, network_node_id: await enrolledNode(network) } });
      await inventory([one]);
      const collector = await start({ READ_CRON: "* * * * * *" });
      const { origin, account } = network.info;
      const file = join(home, "networks", "practice.json");
      await mkdir(join(home, "networks"));
      const contents = { schema: 1, network: "practice", account: "main", origin, label: "practice", ...account };
      await writeFile(file, JSON.stringify(contents), { mode: 0o644 });
      await eventually("the refusal of an open file", () => (/chmod 600/.test(collector.output()) ? true : undefined));
      await chmod(file, 0o600);
      const read = await eventually("the first verdict", async () => {
        const item = await get<NodeItem>(collector, "/api/v1/nodes/home/0");
        return item.points === null ? undefined : item;
      });
      expect(read.layers.verdict).toMatchObject({ value: "Good", class: "good" });
      expect(read.points).toMatchObject({ units: "0", unit: "point", scale: 5 });
      const reading = await get<{ body: string; sha256: string }>(
        collector,
        `/api/v1/readings/${read.points?.reading}`,
      );
      expect(createHash("sha256").update(reading.body).digest("hex")).toBe(reading.sha256);
      const killedAt = Date.now();
      await endNetwork(network, "SIGKILL");
      const away = await eventually("that the verdict is not repeated", async () => {
        const item = await get<NodeItem>(collector, "/api/v1/nodes/home/0");
        return item.layers.verdict.value === "unknown" ? item : undefined;
      });
      expect(away.layers.reward.value).toBe("unknown");
      expect(Date.parse(away.points?.asOf ?? "")).toBeLessThanOrEqual(killedAt);
      const [gap] = await all<GapItem>(collector, "gaps");
      expect(gap).toMatchObject({ network: "practice", account: "main", kind: "not-read", to: null });
      expect(collector.output()).not.toContain(account.password);
      const runs = await all<{ due: string }>(collector, "runs?job=practice/main/nodes");
      expect(new Set(runs.map(({ due }) => due)).size).toBe(runs.length);
    } finally {
      await endNetwork(network, "SIGKILL");
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("stops within five seconds when asked, and when its parent goes away", async () => {
    const one = await node("home/0");
    one.append(up);
    await inventory([one]);
    const asked = await start();
    const streaming = await fetch(`${asked.url}/api/v1/stream`);
    expect(streaming.status).toBe(200);
    const { code, ms } = await asked.end("SIGTERM");
    expect(code).toBe(0);
    expect(ms).toBeLessThan(5_000);
    await streaming.body?.cancel().catch((error: unknown) => expect(error).toBeInstanceOf(Error));
    const orphan = await start();
    const ended = once(orphan.process, "exit") as Promise<[number | null]>;
    orphan.process.disconnect();
    expect((await ended)[0]).toBe(0);
  });
});

describe("starting the collector", () => {
  it("names every mistake of its environment at once and exits with 2", async () => {
    const { code, output } = await runToEnd({ PORT: "99999", HOST: "example.invalid", DATABASE_URL: "mysql://x" });
    expect(code).toBe(2);
    for (const name of ["PORT", "HOST", "DATABASE_URL", "DATA_DIR", "INVENTORY"]) expect(output).toContain(name);
  });

  it("names PORT when another program listens there, and exits with 2", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const { code, output } = await runToEnd({ ...environment(), PORT: String(port) });
    other.close();
    expect(code).toBe(2);
    expect(output).toContain(`PORT is ${port}, and another program listens there already.`);
  });

  it("names DATABASE_URL when nothing answers there, and exits with 2", async () => {
    const { code, output } = await runToEnd({
      ...environment(),
      DATABASE_URL: "postgresql://u:hidden-word@127.0.0.1:1/x",
    });
    expect(code).toBe(2);
    expect(output).toContain("DATABASE_URL names 127.0.0.1:1/x, which cannot be reached");
    expect(output).not.toContain("hidden-word");
  });

  it("refuses a second collector on the same data folder and names it", async () => {
    await start();
    const { code, output } = await runToEnd(environment());
    expect(code).toBe(2);
    expect(output).toContain("DATA_DIR is in use by another collector");
  });

  it.runIf(process.getuid?.() === 0)("names DATA_DIR in one sentence when the disk is full", async () => {
    await mkdir(join(home, "data"));
    const main = fileURLToPath(new URL("../../collector/main.ts", import.meta.url));
    const script = 'mount -t tmpfs -o size=24m tmpfs "$DATA_DIR" && exec "$@"';
    const words = ["--mount", "--propagation", "private", "sh", "-c", script, "sh", process.execPath, main];
    const child = spawn("unshare", words, {
      env: { PATH: process.env.PATH ?? "/usr/bin:/bin", PORT: "0", ...environment() },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const [code] = (await once(child, "close")) as [number | null];
    expect(code).toBe(2);
    expect(output).toContain("DATA_DIR is on a disk that is full");
  });
});

/** Reads the stream until `enough` says so and returns what came. */
async function streamUntil(
  collector: CollectorProcess,
  query: string,
  enough: (text: string) => true | undefined,
): Promise<string> {
  const stop = new AbortController();
  const response = await fetch(`${collector.url}/api/v1/stream${query}`, {
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(15_000)]),
  });
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (enough(text) === true) break;
  }
  stop.abort();
  return text;
}
