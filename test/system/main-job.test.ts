import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NodeItem, SampleItem, StateItem } from "../../collector/api/types.ts";
import { findBrowser } from "../../infra/browser.ts";
import { identityOf } from "../../infra/process-identity.ts";
import {
  type Checkout,
  copyOfCheckout,
  processesOf,
  processTree,
  type RunningStart,
  until,
} from "../harness/checkout.ts";
import { apiAt } from "../harness/collector-api.ts";
import { machineWideState } from "../harness/machine-wide.ts";
import { browserOf, supervisorOf } from "../harness/node-processes.ts";

describe("the main job on one machine", () => {
  let checkout: Checkout;
  let start: RunningStart;
  let browser: Browser;
  let page: Page;
  let url: string;
  const before = machineWideState();

  const live = (): Promise<NodeItem[]> => apiAt(url).live();
  const states = (key: string): Promise<StateItem[]> => apiAt(url).states(key);
  const samples = (key: string): Promise<SampleItem[]> => apiAt(url).samples(key);
  const pulumi = (args: string): Promise<string> => checkout.sh(`. .gradientlab/env && npx pulumi ${args}`);
  const identities = async (): Promise<Record<string, string | null>> =>
    Object.fromEntries((await live()).map((node) => [node.key, node.networkNodeId]));
  const allLive = async (count: number): Promise<boolean> => {
    const all = await live();
    return (
      all.length === count &&
      all.every((n) => n.layers.app.value === "up" && n.layers.verdict.value === "Good" && n.networkNodeId !== null)
    );
  };

  beforeAll(async () => {
    checkout = await copyOfCheckout();
    browser = await chromium.launch({
      executablePath: (await findBrowser()).path,
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
    });
  });

  afterAll(async () => {
    await browser?.close();
    await start?.interrupt();
    await checkout?.remove();
  });

  it("starts three nodes and says where the page is", async () => {
    start = checkout.start("--port", "0");
    url = await start.url;
    expect(start.output()).toMatch(/Three nodes up, dashboard at http:\/\/127\.0\.0\.1:\d+/);
    expect(start.output()).toContain("Pulumi.dev.yaml now holds this checkout's own salt");
    page = await browser.newPage();
    page.setDefaultTimeout(100_000);
    await page.goto(url);
    for (const slot of [0, 1, 2]) await page.getByText(`local/${slot}`, { exact: true }).first().waitFor();
  }, 300_000);

  it("shows by itself that every layer of every node goes live and that points come in", async () => {
    await until(
      "three live nodes",
      120_000,
      () => allLive(3),
      async () => JSON.stringify(await live()),
    );
    await until("points of every node", 120_000, async () =>
      (await live()).every((n) => BigInt(n.points?.units ?? 0) > 0n),
    );
    await page.getByText("Good", { exact: true }).nth(2).waitFor();
    await page.getByText("earning", { exact: true }).nth(2).waitFor();
  }, 300_000);

  it("refuses a second start, naming the process and the page of the first", async () => {
    const second = checkout.start("--port", "0");
    expect(await second.exited).toBe(2);
    expect(second.output()).toContain(`with its page at ${url}`);
  });

  it("scales to four by a changed count and touches no other node", async () => {
    const old = await live();
    await pulumi("config set --path 'gradientlab:fleet.groups.local.count' 4");
    const output = await pulumi("up --yes --non-interactive --color never");
    expect(output).toMatch(/\+ \d+ created/);
    expect(output).not.toMatch(/replaced|deleted|[^-]- \d/);
    await until("the fourth node to be live", 120_000, () => allLive(4));
    const now = await live();
    for (const node of old) expect(now.find((n) => n.key === node.key)?.machineId).toBe(node.machineId);
    await page.getByText("local/3", { exact: true }).first().waitFor();
  }, 200_000);

  it("brings a killed browser back with the same identity, and the restart stands in the journal", async () => {
    const [node] = await live();
    if (node === undefined) throw new Error("no node");
    const restarts = node.restarts ?? 0;
    const pid = browserOf(checkout.home, node.key);
    if (pid === undefined) throw new Error("no browser");
    process.kill(pid, "SIGKILL");
    await until("the restart to be seen", 30_000, async () => {
      const events = (await samples(node.key)).filter((s) => s.kind === "event").map((s) => s.line.event);
      return JSON.stringify(events).includes('"signal":"SIGKILL"');
    });
    await until("the browser to be back", 30_000, () => {
      const now = browserOf(checkout.home, node.key);
      return now !== undefined && now !== pid;
    });
    await until("the restart to be counted", 60_000, async () => {
      const again = (await live()).find((n) => n.key === node.key);
      return (again?.restarts ?? 0) > restarts && again?.layers.runtime.value === "up";
    });
    await until("the app to be up", 60_000, () => allLive(4));
    expect((await identities())[node.key]).toBe(node.networkNodeId);
    const runtime = (await states(node.key)).filter((s) => s.layer === "runtime").map((s) => s.value);
    expect(runtime).toContain("down");
  }, 240_000);

  it("loses and doubles no line when the collector is killed, and comes back by itself", async () => {
    const earlier = await Promise.all((await live()).map(async (n) => [n.key, (await samples(n.key)).length] as const));
    const [collector] = processesOf(checkout.folder).filter((p) => p.includes("collector/main.ts"));
    process.kill(Number(collector?.split(" ")[0]), "SIGKILL");
    await until("the collector to be started again", 60_000, () => start.output().includes("The collector runs again"));
    for (const [key, count] of earlier) {
      await until(`new lines of ${key}`, 60_000, async () => (await samples(key)).length > count);
      const numbers = (await samples(key)).map((sample) => sample.n).toSorted((a, b) => a - b);
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    }
  }, 200_000);

  it("keeps the nodes running after Ctrl-C, says so, and shows them again in a moment", async () => {
    const same = await identities();
    await start.interrupt();
    expect(start.output()).toContain("Four nodes keep running: npm run down removes them");
    expect(processesOf(checkout.folder).some((p) => p.includes("collector"))).toBe(false);
    start = checkout.start("--port", "0");
    url = await start.url;
    expect(start.output()).toContain("Four nodes up");
    expect(await identities()).toEqual(same);
    await page.goto(url);
    await page.getByText("local/3", { exact: true }).first().waitFor();
  }, 120_000);

  it("shows the layers of a killed node change in the order in which they really changed", async () => {
    const [node] = await live();
    if (node === undefined) throw new Error("no node");
    const killedAt = Date.now();
    process.kill(supervisorOf(checkout.home, node.key).pid, "SIGKILL");
    const changed = async (layer: StateItem["layer"], value: string): Promise<StateItem | undefined> =>
      (await states(node.key)).find(
        (s) => s.layer === layer && s.value === value && Date.parse(s.from) >= killedAt - 1000,
      );
    await until(
      "the network to miss it",
      180_000,
      async () => (await changed("verdict", "Disconnected")) !== undefined,
    );
    const down = await changed("machine", "down");
    const verdict = await changed("verdict", "Disconnected");
    expect(down).toBeDefined();
    expect(Date.parse(down?.from ?? "")).toBeLessThan(Date.parse(verdict?.from ?? ""));
    await page.getByText("Disconnected", { exact: true }).first().waitFor();
  }, 240_000);

  it("reports the killed node as gone on refresh, and up brings it back with the same identity", async () => {
    const same = await identities();
    expect(await pulumi("refresh --yes --non-interactive --color never")).toMatch(/- \d+ deleted/);
    await pulumi("up --yes --non-interactive --color never");
    await until(
      "all four to be live again",
      180_000,
      () => allLive(4),
      async () => JSON.stringify(await live()),
    );
    expect(await identities()).toEqual(same);
  }, 300_000);

  it("removes everything but the evidence on npm run down, and has touched nothing machine-wide", async () => {
    const all = (await live()).flatMap((node) => processTree(supervisorOf(checkout.home, node.key).pid));
    expect(all.length).toBeGreaterThan(12);
    const output = await checkout.sh("npm run --silent down");
    expect(output).toContain("The evidence stays in");
    expect(await start.exited).toBe(0);
    await until("every process to end", 20_000, () => processesOf(checkout.folder).length === 0);
    expect(all.filter((pid) => identityOf(pid) !== undefined)).toEqual([]);
    expect(readFileSync("/proc/mounts", "utf8")).not.toContain(checkout.folder);
    expect(readdirSync(join(checkout.home, "nodes"))).toEqual([]);
    expect(machineWideState()).toEqual(before);
  }, 120_000);
});
