import { type Browser, chromium, type Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { WorkloadItem } from "../../collector/api/types.ts";
import { findBrowser } from "../../infra/browser.ts";
import { type Checkout, copyOfCheckout, type RunningStart, until } from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { browserOf } from "../harness/node-processes.ts";

const groups = {
  shed: { provider: "shed", region: "garden", size: "bench", count: 2, workload: "pulse", network: "practice" },
};

/** What the workload `pulse` calls its layers, and nothing of the project outside its folder does. */
const layers = {
  machine: "machine",
  runtime: "process",
  app: "service",
  verdict: "network verdict",
  reward: "reward",
};

describe("a provider and a workload that a folder adds", () => {
  let checkout: Checkout;
  let start: RunningStart;
  let api: Api;
  let url: string;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    checkout = await copyOfCheckout({
      groups,
      fleet: { phase: "study", phases: { study: { budgetUsdPerMonth: 1 } } },
      extra: true,
    });
    browser = await chromium.launch({
      executablePath: (await findBrowser()).path,
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
    });
    page = await browser.newPage();
    start = checkout.start("--port", "0");
    url = await start.url;
    api = apiAt(url);
  }, 180_000);

  afterAll(async () => {
    await browser?.close();
    await start?.interrupt();
    await checkout?.remove();
  });

  it("run through fleet and collector: every layer goes live and points come in, without a browser", async () => {
    expect(start.output()).toContain("Two nodes up");
    await until(
      "two nodes that earn",
      120_000,
      async () => {
        const nodes = await api.live();
        return (
          nodes.length === 2 &&
          nodes.every(
            ({ layers: { machine, runtime, app, verdict, reward }, points }) =>
              [machine, runtime, app].every(({ value }) => value === "up") &&
              verdict.class === "good" &&
              reward.value === "earning" &&
              BigInt(points?.units ?? 0) > 0n,
          )
        );
      },
      async () => JSON.stringify(await api.live()),
    );
    for (const { key } of await api.live()) expect(browserOf(checkout.home, key), key).toBeUndefined();
  }, 150_000);

  it("stand in the inventory and the API under their own names", async () => {
    const nodes = await api.live();
    expect(nodes.map(({ key, provider, region, workload }) => [key, provider, region, workload])).toEqual([
      ["shed/0", "shed", "garden", "pulse"],
      ["shed/1", "shed", "garden", "pulse"],
    ]);
    for (const node of nodes)
      expect(Object.fromEntries(Object.entries(node.layers).map(([layer, { name }]) => [layer, name]))).toEqual(layers);
    const answer = await fetch(`${url}/api/v1/groups/shed/workload`);
    expect((await answer.json()) as WorkloadItem).toEqual({
      group: "shed",
      workload: "pulse",
      title: "A node without a browser, for tests",
      layers,
    });
  });

  it("are shown by the page with the workload's own layer names", async () => {
    await page.goto(url);
    const table = page.getByRole("table").filter({ has: page.locator('[data-node="shed/0"]') });
    await table.waitFor();
    const heads = await table.getByRole("columnheader").allInnerTexts();
    expect(heads.map((text) => text.trim().toLowerCase())).toEqual(expect.arrayContaining(Object.values(layers)));
    expect(heads.join(" ").toLowerCase()).not.toMatch(/browser|extension/);
    for (const key of ["shed/0", "shed/1"]) {
      const row = table.locator(`[data-node="${key}"]`);
      await row.getByText("shed · garden").waitFor();
      await row.getByText("Good", { exact: true }).waitFor();
      await row.getByText("earning", { exact: true }).waitFor();
    }
    await table.getByRole("link", { name: "shed/1" }).click();
    const chain = page.getByRole("list", { name: /^Layers/ });
    await chain.getByText("service", { exact: true }).waitFor();
    await chain.getByText("process", { exact: true }).waitFor();
  }, 60_000);
});
