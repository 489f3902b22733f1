import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NodeItem } from "../../collector/api/types.ts";
import { type Checkout, copyOfCheckout, processesOf, type RunningStart, until } from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { nodeFolder, writtenLines } from "../harness/node-processes.ts";

const groups = {
  local: {
    provider: "local",
    size: "process",
    count: 2,
    workload: "sentry",
    network: "practice",
    options: { everySeconds: 5 },
  },
};

describe("a machine whose power is cut", () => {
  let checkout: Checkout;
  let start: RunningStart;
  let api: Api;
  let before: NodeItem[];
  let originBefore: string;

  const live = (node: NodeItem): boolean =>
    node.layers.app.value === "up" && node.layers.verdict.value === "Good" && node.networkNodeId !== null;
  const pointsOf = (node: NodeItem): bigint => BigInt(node.points?.units ?? 0);
  const service = (): { origin: string } =>
    JSON.parse(readFileSync(join(checkout.home, "practice", "state", "service.json"), "utf8")) as { origin: string };
  const events = async (key: string, name: string): Promise<number> =>
    (await api.samples(key)).filter(({ line }) => (line.event as { name?: string } | undefined)?.name === name).length;
  const started = async (): Promise<void> => {
    start = checkout.start("--port", "0");
    api = apiAt(await start.url);
  };

  beforeAll(async () => {
    checkout = await copyOfCheckout({ groups });
    await started();
    await until(
      "two nodes that earn",
      150_000,
      async () => {
        const nodes = await api.live();
        return nodes.length === 2 && nodes.every((node) => live(node) && pointsOf(node) > 0n);
      },
      async () => JSON.stringify(await api.live()),
    );
    before = await api.live();
    originBefore = service().origin;
  }, 240_000);

  afterAll(async () => {
    await start?.interrupt();
    await checkout?.remove();
  });

  it("loses every process at once: nodes, practice network, collector, database and start", async () => {
    const all = processesOf(checkout.folder);
    for (const part of ["supervisor.cjs", "--user-data-dir=", "practice/main.ts", "collector/main.ts", "postgres"])
      expect(all.filter((words) => words.includes(part)).length, part).toBeGreaterThan(0);
    await until(
      "every process to end",
      20_000,
      () => {
        const left = processesOf(checkout.folder).map((words) => Number.parseInt(words, 10));
        for (const pid of left) killIfAlive(pid);
        return left.length === 0;
      },
      () => processesOf(checkout.folder).join("\n"),
    );
    await start.exited;
    // What a cut leaves behind: nobody had the time to say goodbye.
    expect(existsSync(join(checkout.home, "data", "postgres", "cluster", "data", "postmaster.pid"))).toBe(true);
  }, 30_000);

  it("has the same nodes again after npm start, with the same ids, points and practice network", async () => {
    await started();
    expect(start.output()).toContain("Two nodes up");
    expect(service().origin).toBe(originBefore);
    for (const { key, machineId, networkNodeId, points } of await api.live()) {
      const old = before.find((node) => node.key === key);
      expect({ machineId, networkNodeId }).toEqual({ machineId: old?.machineId, networkNodeId: old?.networkNodeId });
      // The evidence is there before anything new was read.
      expect(BigInt(points?.units ?? -1)).toBeGreaterThanOrEqual(pointsOf(old as NodeItem));
    }
    await until(
      "both to be live again and to earn more than before",
      120_000,
      async () => {
        const nodes = await api.live();
        return (
          nodes.length === 2 &&
          nodes.every((node) => {
            const old = before.find(({ key }) => key === node.key);
            return live(node) && old !== undefined && pointsOf(node) > pointsOf(old);
          })
        );
      },
      async () => JSON.stringify(await api.live()),
    );
    for (const node of await api.live())
      expect(node.networkNodeId).toBe(before.find(({ key }) => key === node.key)?.networkNodeId);
  }, 200_000);

  it("never showed points that fell", async () => {
    for (const { key } of before) {
      const facts = await api.all<{ metric: string; units: string | null }>(`nodes/${key}/rewards?metric=points`);
      const points = facts.flatMap(({ units }) => (units === null ? [] : [BigInt(units)])).toReversed();
      expect(points.length).toBeGreaterThan(2);
      for (const [index, units] of points.entries()) expect(units).toBeGreaterThanOrEqual(points[index - 1] ?? 0n);
      expect(points.at(-1)).toBeGreaterThan(pointsOf(before.find((node) => node.key === key) as NodeItem));
    }
  });

  it("has every line of the journals once, the second boot among them", async () => {
    for (const { key } of before) {
      const lines = writtenLines(nodeFolder(checkout.home, key)).map(({ journal, n, crc }) => `${journal}:${n}:${crc}`);
      const stored = async (): Promise<string[]> =>
        (await api.samples(key)).map(({ journal, n, line }) => `${journal}:${n}:${line.crc}`);
      await until(`every line of ${key}`, 30_000, async () => {
        const known = new Set(await stored());
        return lines.every((line) => known.has(line));
      });
      const samples = await api.samples(key);
      expect(new Set(samples.map(({ journal }) => journal)).size).toBe(1);
      expect(samples.map(({ n }) => n)).toEqual(samples.map((_, index) => index + 1));
      expect(await events(key, "boot")).toBe(2);
    }
  }, 60_000);
});

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
