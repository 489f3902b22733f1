import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AlertItem } from "../../../collector/api/types.ts";
import { build } from "../../../collector/web/build.ts";
import { findBrowser } from "../../../infra/browser.ts";
import {
  ago,
  brokenNode,
  eventfulHour,
  freshNode,
  healthyNode,
  largeFleet,
  layer,
  offNode,
  unsupportedNode,
} from "./fleet-of.ts";
import { actionOf, proposedChange, troubleOf } from "./recovery-of.ts";
import { type StandIn, startStandIn } from "./stand-in.ts";

let folder: string;
let files: readonly string[];
let browser: Browser;
let server: StandIn;
let complaints: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gradientlab-page-"));
  files = await build({ outDir: join(folder, "dist") });
  const { path } = await findBrowser();
  // A browser cannot put root into its sandbox; the pages of this test are our own.
  browser = await chromium.launch({ executablePath: path, chromiumSandbox: process.getuid?.() !== 0 });
});

afterAll(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  complaints = [];
  server = await startStandIn(join(folder, "dist"));
});

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await server.close();
  expect(complaints).toEqual([]);
});

// What the browser says of a request that failed on purpose; everything else it says fails the test.
const expectedFailures = /^Failed to load resource: /;

async function openPage(hash = "", options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => {
    if (message.type() === "log" || expectedFailures.test(message.text())) return;
    complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${server.origin}/`)) complaints.push(`asked for ${request.url()}`);
  });
  await page.addInitScript(`
    window.shifted = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
    addEventListener("securitypolicyviolation", (event) => console.error("policy: " + event.violatedDirective));
  `);
  await page.goto(`${server.origin}/${hash}`);
  return page;
}

function put(...nodes: ReturnType<typeof healthyNode>[]): void {
  for (const node of nodes) server.nodes.set(node.key, node);
}

const rowOf = (page: Page, key: string) => page.locator(`tr[data-node="${key}"]`);
const countOf = (page: Page, words: string) => page.getByRole("button", { name: words }).locator(".count-number");
async function textOf(locator: Locator): Promise<string> {
  await locator.first().waitFor();
  return (await locator.allInnerTexts()).join("\n");
}

const said = (page: Page, words: string | RegExp) =>
  page.getByRole("status").filter({ hasText: words }).waitFor({ state: "attached" });
const focused = (page: Page) => page.evaluate<string>("document.activeElement?.textContent ?? ''");

async function listening(count = 1): Promise<void> {
  await expect.poll(() => server.listeners(), { timeout: 20_000 }).toBe(count);
}

/** Returns how many hours of states a request asks for. */
function hoursAsked(line: string): number {
  const from = /states\?from=([^&]+)/.exec(line)?.[1] ?? "";
  return Math.round((Date.now() - Date.parse(decodeURIComponent(from))) / 3_600_000);
}

describe("the built page", () => {
  test("is small, keeps its scripts and styles in hashed files of their own, and names no other host", async () => {
    const dist = join(folder, "dist");
    const contents = await Promise.all(files.map((file) => readFile(join(dist, file))));
    const html = await readFile(join(dist, "index.html"), "utf8");
    expect(contents.reduce((sum, content) => sum + gzipSync(content).length, 0)).toBeLessThan(90_000);
    expect(files.filter((file) => file !== "index.html")).toSatisfy((names: string[]) =>
      names.every((name) => /^assets\/[a-z]+-[\w-]{8}\.(js|css|svg)$/.test(name)),
    );
    expect(html).not.toMatch(/<style|<script(?![^>]* src=)|\son[a-z]+=|\sstyle=|https?:/);
  });
});

describe("the fleet", () => {
  test("appears with every value of a node, in the workload's own words", async () => {
    put(healthyNode("local", 0, { label: "Desk machine" }), healthyNode("local", 1), healthyNode("local", 2));
    const page = await openPage();
    await rowOf(page, "local/2").waitFor();
    expect(await page.locator("tr[data-node]").count()).toBe(3);
    expect(await page.getByRole("columnheader").allInnerTexts()).toEqual([
      "Node",
      "Machine",
      "Browser",
      "Extension",
      "Verdict",
      "Reward",
      "Points so far",
      "Memory",
      "Last sample",
    ]);
    const text = await textOf(rowOf(page, "local/0"));
    for (const part of ["Desk machine", "local · this-machine", "Good", "earning", "12.34500 points", "312 MiB"])
      expect(text).toContain(part);
    expect(text).toMatch(/for 2 h 1 min[\s\S]*read 2[0-9] s ago[\s\S]*0 restarts[\s\S]*[0-9] s ago/);
    const since = rowOf(page, "local/0").locator("time").first();
    expect(await since.getAttribute("title")).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    expect(await textOf(countOf(page, "up"))).toBe("3");
    await expect.poll(() => page.title()).toBe("3 up · GradientLab");
  });

  test("shows what was never read as missing, and a nought only where a nought was read", async () => {
    put(freshNode("local", 0), unsupportedNode("local", 1));
    const page = await openPage();
    const fresh = await textOf(rowOf(page, "local/0"));
    expect(fresh).not.toContain("0.0");
    expect(fresh).not.toContain("0 restarts");
    expect(fresh.match(/not read yet/g)).toHaveLength(6);
    expect(fresh).toContain("no network id yet");
    expect(await textOf(rowOf(page, "local/1"))).toContain("0.00000 points");
  });

  test("says once what a practice network is, and labels it wherever it stands", async () => {
    put(healthyNode("local", 0), healthyNode("real", 0, { network: "other", practice: false }));
    const page = await openPage();
    await rowOf(page, "real/0").waitFor();
    expect(await page.getByText("its points are worth nothing").count()).toBe(1);
    expect(await rowOf(page, "local/0").locator(".practice").count()).toBe(1);
    expect(await rowOf(page, "real/0").locator(".practice").count()).toBe(0);
    expect(await page.getByRole("heading", { name: /^real/ }).locator(".practice").count()).toBe(0);
  });

  test("keeps nodes that are gone in a section of their own, folded", async () => {
    put(healthyNode("local", 0), healthyNode("local", 7, { gone: true, goneAt: ago(4000) }));
    const page = await openPage();
    await rowOf(page, "local/0").waitFor();
    expect(await rowOf(page, "local/7").isVisible()).toBe(false);
    await page.getByText("1 node, history kept").click();
    expect(await textOf(rowOf(page, "local/7"))).toContain("gone 1 h 6 min ago");
    expect(await textOf(countOf(page, "up"))).toBe("1");
  });

  test("says which command makes nodes when there are none, and shows them when they come", async () => {
    const page = await openPage();
    await page.getByText("npm run up").waitFor();
    await listening();
    put(healthyNode("local", 0));
    server.tell("inventory", "dev");
    await rowOf(page, "local/0").waitFor();
    expect(await page.getByText("npm run up").count()).toBe(0);
  });
});

describe("a change", () => {
  test("shows by itself, layer by layer, and is said to screen readers", async () => {
    put(healthyNode("local", 0), healthyNode("local", 1), healthyNode("local", 2));
    const page = await openPage();
    await rowOf(page, "local/2").waitFor();
    await listening();
    await said(page, "3 nodes: 3 up, 0 with trouble, 0 planned off.");
    const broken = brokenNode("local", 1);
    const healthy = healthyNode("local", 1);
    const runtimeOnly = { ...healthy, layers: { ...healthy.layers, runtime: broken.layers.runtime } };
    server.put(runtimeOnly);
    await rowOf(page, "local/1").getByText("down").waitFor();
    expect(await rowOf(page, "local/1").getByText("down", { exact: true }).count()).toBe(1);
    server.put(broken);
    await rowOf(page, "local/1").getByText("Disconnected").waitFor();
    expect(await textOf(countOf(page, "with trouble"))).toBe("1");
    await said(page, /local\/1: .*extension down/);
    server.put(healthy);
    await rowOf(page, "local/1").getByText("Good").waitFor();
    expect(await textOf(countOf(page, "up"))).toBe("3");
  });

  test("of many nodes at once is read in a few requests", async () => {
    const fleet = largeFleet();
    put(...fleet);
    const page = await openPage();
    await rowOf(page, "zurich/39").waitFor();
    await listening();
    await expect.poll(() => server.requests.filter((line) => line.includes("/nodes")).length).toBe(8);
    server.requests.length = 0;
    for (const node of fleet) server.put({ ...node, label: "moved" });
    await rowOf(page, "zurich/39").getByText("moved").waitFor();
    expect(server.requests.length).toBeLessThanOrEqual(12);
  });

  test("does not move what stands around it", async () => {
    put(healthyNode("local", 0), healthyNode("local", 1), healthyNode("local", 2));
    const page = await openPage();
    await rowOf(page, "local/2").waitFor();
    await listening();
    server.put(unsupportedNode("local", 2));
    await rowOf(page, "local/2").getByText("Unsupported").waitFor();
    expect(await page.evaluate<number>("window.shifted")).toBeLessThan(0.01);
  });
});

/** An open alert of a node that is silent, with `more` as given. */
function alert(id: number, more: Partial<AlertItem> = {}): AlertItem {
  return {
    id: String(id),
    rule: "node-silent",
    subject: `home/${id}`,
    severity: "critical" as const,
    summary: `home/${id} is silent since 2027-03-01 00:00 UTC: no sample comes.`,
    fix: "Look whether its machine runs.",
    since: ago(600),
    openedAt: ago(300 - id),
    resolvedAt: null,
    acknowledgedAt: null,
    readAt: null,
    toldAt: null,
    escalatedAt: null,
    ...more,
  };
}

describe("alerts", () => {
  const say = (...alerts: AlertItem[]): void => {
    for (const each of alerts) server.alerts.set(each.id, each);
    server.tell("alert", "");
  };

  test("come and go by themselves, and one that somebody sees to stands apart", async () => {
    put(healthyNode("home", 0));
    const page = await openPage();
    await page.getByRole("link", { name: "home/0" }).waitFor();
    expect(await page.getByRole("heading", { name: "Alerts" }).count()).toBe(0);

    say(
      alert(0),
      alert(1, { severity: "warning", rule: "reward-stalled", summary: "The points of home/1 stand still." }),
    );
    const list = page.getByRole("region", { name: "Alerts" });
    await list.getByText("home/0 is silent since").waitFor();
    expect(await list.getByRole("heading").innerText()).toContain("2 open");
    expect(await list.locator(".alert-summary").allInnerTexts()).toEqual([
      expect.stringContaining("home/0 is silent"),
      expect.stringContaining("The points of home/1"),
    ]);

    await list.getByRole("button", { name: /^Acknowledge: home\/0 is silent/ }).click();
    await list.getByText("1 that somebody sees to").waitFor();
    expect(server.requests).toContain("POST /api/v1/alerts/0/ack");
    server.alerts.clear();
    server.tell("alert", "");
    await list.waitFor({ state: "detached" });
  });

  test("of a storm are one line, whose nodes one click shows and another acknowledges", async () => {
    put(healthyNode("home", 0));
    for (let id = 0; id < 50; id++) server.alerts.set(String(id), alert(id));
    const page = await openPage();
    const list = page.getByRole("region", { name: "Alerts" });
    const line = list.getByText("50 alerts of the rule node-silent");
    await line.waitFor();
    expect(await list.getByText("home/7 is silent").isVisible()).toBe(false);
    await line.click();
    await list.getByText("home/7 is silent").waitFor();
    await list.getByRole("button", { name: "Acknowledge all 50" }).click();
    await list.getByText("50 that somebody sees to").waitFor();
  });

  test("of a node stand on its own page, and a refusal to acknowledge says why", async () => {
    put(healthyNode("home", 0));
    server.alerts.set("0", alert(0, { subject: "home/0 host-key-changed" }));
    server.alerts.set("1", alert(1));
    const page = await openPage("#/nodes/home/0");
    const list = page.getByRole("region", { name: "Alerts" });
    await list.getByText("home/0 is silent").waitFor();
    expect(await list.getByText("home/1 is silent").count()).toBe(0);
    server.problem = {
      type: "about:blank",
      title: "Internal error",
      status: 500,
      detail: "The collector could not answer.",
      code: "internal",
      fix: "Look into the collector's log.",
    };
    await list.getByRole("button", { name: /^Acknowledge/ }).click();
    await list.getByText("The collector could not answer. Look into the collector's log.").waitFor();
  });
});

describe("repairs", () => {
  const brake = {
    cause: "fleet",
    reason: "9 of 10 nodes that should run are in trouble at one time.",
    since: ago(60),
  } as const;

  test("are told with what is waited for and what was done, and with the brake and its button", async () => {
    put(healthyNode("home", 0), healthyNode("home", 1));
    const page = await openPage();
    await page.getByRole("link", { name: "home/0" }).waitFor();
    expect(await page.getByRole("heading", { name: "Repairs" }).count()).toBe(0);
    server.recovery.state = { ...server.recovery.state, brake, nodes: [troubleOf("home/0"), troubleOf("home/1")] };
    server.recovery.actions.push(
      actionOf(3, { rung: "rebuild", outcome: "proposed", detail: proposedChange }),
      actionOf(2, { outcome: "unknown", detail: "no answer came in time" }),
      actionOf(1, { node: "home/1", episodeOutcome: "recovered" }),
    );
    server.tell("recovery", "");
    const list = page.getByRole("region", { name: "Repairs" });
    await list.getByText("No node is repaired: 9 of 10 nodes").waitFor();
    expect(await list.getByRole("heading").innerText()).toContain("2 in trouble, brake set");
    await list.getByText("The last 3 actions").click();
    expect((await list.locator("details .alert-summary").allInnerTexts()).map((text) => text.trim())).toEqual([
      "home/0: Proposal of a rebuild, waits for you",
      "home/0: Restart of the runtime, it is not known whether it was done",
      "home/1: Restart of the runtime, done, and it helped",
    ]);
    await list.getByText(proposedChange).waitFor();
    await list.getByRole("button", { name: "Release the brake" }).click();
    await list.getByRole("button", { name: "Pause all repairs" }).click();
    await list.getByText("No node is repaired: The operator paused it.").waitFor();
    expect(server.requests.filter((line) => line.startsWith("POST"))).toEqual([
      "POST /api/v1/recovery/release",
      "POST /api/v1/recovery/pause",
    ]);
  });

  test("of one node stand on its own page, and many nodes in trouble are one line", async () => {
    put(healthyNode("home", 0), healthyNode("home", 1));
    const nodes = Array.from({ length: 40 }, (_, slot) => troubleOf(`home/${slot}`));
    server.recovery.state = { ...server.recovery.state, nodes };
    server.recovery.actions.push(actionOf(1), actionOf(2, { node: "home/1" }));
    const page = await openPage();
    const list = page.getByRole("region", { name: "Repairs" });
    await list.getByText("37 more nodes in trouble").waitFor();
    expect(await list.getByText("home/30").isVisible()).toBe(false);
    await page.goto(`${server.origin}/#/nodes/home/1`);
    await list.getByText("The last action").waitFor();
    expect(await list.locator(".alert-summary").first().innerText()).toContain("home/1");
    expect(await list.getByText("home/0").count()).toBe(0);
  });
});

describe("a broken connection", () => {
  test("is shown with its beginning, and what changed meanwhile is there when it is back", async () => {
    put(healthyNode("local", 0));
    const page = await openPage();
    await page.getByText("Live", { exact: true }).waitFor();
    server.put(healthyNode("local", 0, { label: "before" }));
    await rowOf(page, "local/0").getByText("before").waitFor();
    server.interrupt();
    await page.getByText(/Reconnecting since \d\d:\d\d:\d\d UTC/).waitFor();
    server.put(healthyNode("local", 0, { label: "meanwhile" }));
    server.resume();
    await page.getByText("Live", { exact: true }).waitFor();
    await rowOf(page, "local/0").getByText("meanwhile").waitFor();
    expect(server.requests.filter((line) => line.includes("/stream")).at(-1)).toContain("/stream?after=1");
  });

  test("to a collector that is gone leaves what was read and says how old it is", async () => {
    put(healthyNode("local", 0));
    const page = await openPage();
    await rowOf(page, "local/0").waitFor();
    await listening();
    await server.close();
    await page.getByText(/^The collector at 127\.0\.0\.1:\d+ does not answer\.$/).waitFor();
    await page.getByText(/What stands below was read/).waitFor();
    await page.getByText("npm start starts it").waitFor();
    expect(await rowOf(page, "local/0").isVisible()).toBe(true);
    server = await startStandIn(join(folder, "dist"));
  });

  test("shows the collector's own problem with its fix, and goes on by itself when it is over", async () => {
    server.problem = {
      type: "about:blank",
      title: "Database away",
      status: 503,
      detail: "The database at 127.0.0.1:5432 does not answer.",
      code: "database-unreachable",
      fix: "See whether PostgreSQL runs, or correct DATABASE_URL.",
    };
    put(healthyNode("local", 0));
    const page = await openPage();
    await page.getByRole("alert").getByText("The database at 127.0.0.1:5432 does not answer.").waitFor();
    await page.getByText("See whether PostgreSQL runs, or correct DATABASE_URL.").waitFor();
    await page.getByText("database-unreachable").waitFor();
    await page.getByText("Not up to date").waitFor();
    await expectNoViolations(page);
    server.problem = null;
    await rowOf(page, "local/0").waitFor();
    expect(await page.getByRole("alert").count()).toBe(0);
  });
});

describe("the keyboard", () => {
  test("goes from the skip button through counts and tools to a node, opens it, and comes back to it", async () => {
    put(healthyNode("local", 0), brokenNode("local", 1));
    const page = await openPage();
    await rowOf(page, "local/1").waitFor();
    await page.keyboard.press("Tab");
    expect(await focused(page)).toBe("Skip to the nodes");
    expect((await page.getByText("Skip to the nodes").boundingBox())?.y).toBeCloseTo(8, 0);
    const reached: string[] = [];
    for (let step = 0; step < 8; step += 1) {
      await page.keyboard.press("Tab");
      reached.push(await focused(page));
      expect(await page.evaluate<string>("getComputedStyle(document.activeElement).outlineStyle")).toBe("solid");
    }
    expect(reached.slice(0, 5)).toEqual(["GradientLab", "1up", "1with trouble", "0not known yet", "0planned off"]);
    expect(reached.at(-1)).toBe("local/0");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 2, name: "local/0" }).waitFor();
    expect(await focused(page)).toBe("local/0");
    expect(page.url()).toBe(`${server.origin}/#/nodes/local/0`);
    await page.keyboard.press("Shift+Tab");
    expect(await focused(page)).toBe("← All nodes");
    await page.keyboard.press("Enter");
    await rowOf(page, "local/1").waitFor();
    expect(await focused(page)).toBe("local/0");
    expect(await page.evaluate<string>("document.activeElement.tagName")).toBe("A");
  });

  test("filters by a count and takes the filter off again", async () => {
    put(healthyNode("local", 0), brokenNode("local", 1));
    const page = await openPage();
    await rowOf(page, "local/0").waitFor();
    const trouble = page.getByRole("button", { name: "with trouble" });
    await trouble.focus();
    await page.keyboard.press("Space");
    await rowOf(page, "local/0").waitFor({ state: "detached" });
    expect(await trouble.getAttribute("aria-pressed")).toBe("true");
    await rowOf(page, "local/1").waitFor();
    await page.keyboard.press("Space");
    await rowOf(page, "local/0").waitFor();
    await page.getByLabel("Find").fill("nothing like this");
    await page.getByText("None of the 2 nodes is what you asked for.").waitFor();
    await page.getByRole("button", { name: "Show all nodes" }).press("Enter");
    await rowOf(page, "local/1").waitFor();
  });

  test("copies a whole network id", async () => {
    put(healthyNode("local", 0));
    const page = await openPage("", { permissions: ["clipboard-read", "clipboard-write"] });
    const id = healthyNode("local", 0).networkNodeId ?? "";
    await page.getByRole("button", { name: `copy network id ${id}` }).press("Enter");
    await page.getByText("copied").waitFor({ state: "attached" });
    expect(await page.evaluate<string>("navigator.clipboard.readText()")).toBe(id);
  });
});

describe("a click", () => {
  test("anywhere on a row opens the node", async () => {
    put(healthyNode("local", 0), healthyNode("local", 1));
    const page = await openPage();
    await rowOf(page, "local/1").getByText("earning").click();
    await page.getByRole("heading", { level: 2, name: "local/1" }).waitFor();
  });
});

describe("one node", () => {
  beforeEach(() => {
    const past = eventfulHour("local/1");
    server.states.push(...past.states);
    server.events.push(...past.events);
    server.gaps.push(...past.gaps);
    put(healthyNode("local", 0), brokenNode("local", 1));
  });

  test("has its history as a strip with its shares, its changes, events and gaps at an address of its own", async () => {
    const page = await openPage("#/nodes/local/1");
    await page.getByRole("heading", { name: "History" }).waitFor();
    const bands = page.locator(".band");
    await bands.nth(5).waitFor();
    expect(await bands.locator(".band-name").allInnerTexts()).toEqual([
      "Machine",
      "Browser",
      "Extension",
      "Verdict",
      "Reward",
      "Not read",
    ]);
    expect(await textOf(bands.nth(0))).toContain("up 100\u00a0%");
    expect(await textOf(bands.nth(1))).toMatch(/up 8[89]\.\d\u00a0%, down 11\.\d\u00a0%/);
    expect(await textOf(bands.nth(5))).toContain("1 gap");
    const log = (name: string) => textOf(page.getByRole("region", { name }).locator("li").first());
    expect(await log("Changes")).toMatch(/3 min ago\s+reward\s*earning/i);
    expect(await log("Journal events")).toMatch(/5 min ago\s+action\s+verb recover, action a1b2, outcome done/i);
    expect(await log("Gaps")).toMatch(/45 min ago\s+unreachable for 2 min\s+The node's agent did not answer\./i);
    await page.getByRole("radio", { name: "24 hours" }).check();
    await expect.poll(() => server.requests.filter((line) => hoursAsked(line) === 24)).toHaveLength(1);
    await expect.poll(() => page.title()).toBe("local/1 · 1 with trouble · GradientLab");
  });

  test("changes by itself while it is looked at", async () => {
    const page = await openPage("#/nodes/local/1");
    await page.locator(".chain").getByText("Disconnected").waitFor();
    await listening();
    server.put(healthyNode("local", 1));
    await page.locator(".chain").getByText("Good").waitFor();
  });

  test("that was never there is said to be none", async () => {
    const page = await openPage("#/nodes/local/99");
    await page.getByRole("heading", { name: "No node local/99" }).waitFor();
  });
});

describe("anyone can read it", () => {
  const mixed = () => [
    healthyNode("local", 0, { label: "Desk machine" }),
    brokenNode("local", 1),
    unsupportedNode("local", 2),
    freshNode("local", 3),
    offNode("local", 4),
    healthyNode("bare", 0, { workload: "counter", network: null, practice: false, networkNodeId: null, points: null }),
    healthyNode("old", 0, { gone: true, goneAt: ago(86_400) }),
  ];

  describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
    test("the fleet has no accessibility violation, wide and narrow", async () => {
      put(...mixed());
      for (let id = 0; id < 5; id++) server.alerts.set(String(id), alert(id));
      const seen = { acknowledgedAt: ago(1) };
      server.alerts.set("5", alert(5, { rule: "reward-stalled", severity: "warning" }));
      server.alerts.set("6", alert(6, { rule: "phase-ends", severity: "info", ...seen }));
      const brake = { cause: "fleet", reason: "9 of 10 nodes are in trouble.", since: ago(60) } as const;
      server.recovery.state = { ...server.recovery.state, brake, nodes: [troubleOf("local/1")] };
      server.recovery.actions.push(actionOf(1), actionOf(2, { outcome: "proposed", detail: proposedChange }));
      for (const width of [1440, 390]) {
        const page = await openPage("", { colorScheme, viewport: { width, height: 900 } });
        await page.getByText("The last 2 actions").click();
        await page.getByText("1 node, history kept").click();
        await page.getByText("5 alerts of the rule node-silent").click();
        await expectNoViolations(page);
        await page.context().close();
      }
    });

    test("a node has no accessibility violation", async () => {
      put(...mixed());
      server.states.push(...eventfulHour("local/1").states);
      const page = await openPage("#/nodes/local/1", { colorScheme });
      await page.locator(".band").first().waitFor();
      await expectNoViolations(page);
    });

    test("an empty fleet has no accessibility violation", async () => {
      const page = await openPage("", { colorScheme });
      await page.getByText("npm run up").waitFor();
      await expectNoViolations(page);
    });
  });

  test("each tone has a shape of its own, so that no colour is needed", async () => {
    put(...mixed());
    const page = await openPage();
    await rowOf(page, "local/4").waitFor();
    const shapes = await page.evaluate<[string, string][]>(`
      [...document.querySelectorAll("tr[data-node] .mark")].map((mark) => [mark.getAttribute("class"), mark.innerHTML])
    `);
    const tones = new Map(shapes);
    expect(tones.size).toBe(7);
    expect(new Set(tones.values()).size).toBe(7);
  });

  test("nothing moves for those who asked for less motion", async () => {
    put(healthyNode("local", 0));
    const page = await openPage("", { reducedMotion: "reduce" });
    await rowOf(page, "local/0").waitFor();
    await listening();
    server.put(brokenNode("local", 0));
    await page.locator(".changed").first().waitFor();
    const changed = "getComputedStyle(document.querySelector('.changed'))";
    expect(await page.evaluate<string>(`${changed}.animationName`)).toBe("none");
    expect(await page.evaluate<string>(`${changed}.boxShadow`)).toContain("inset");
  });

  test.each([1440, 1280, 1000, 390])(
    "two hundred nodes fit a window of %d pixels without sideways scrolling",
    async (width) => {
      put(...largeFleet());
      const page = await openPage("", { viewport: { width, height: 900 } });
      await rowOf(page, "zurich/39").waitFor();
      expect(await page.locator("tr[data-node]").count()).toBe(200);
      expect(await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
      expect(await textOf(countOf(page, "with trouble"))).toBe("15");
      expect(await page.evaluate<number>("window.shifted")).toBeLessThan(0.05);
      await page.getByLabel("Order").selectOption({ label: "trouble first" });
      expect(await page.locator("tr[data-node]").first().getAttribute("data-node")).toBe("frankfurt/5");
    },
  );

  test("an age ticks, and a value of old is as old as the collector's clock says", async () => {
    put(
      healthyNode("local", 0, {
        lastSampleAt: ago(2),
        layers: { ...healthyNode("local", 0).layers, machine: layer("machine", "up", 30) },
      }),
    );
    const page = await openPage();
    const cell = rowOf(page, "local/0").locator(".cell-sample time");
    const first = Number.parseInt(await textOf(cell), 10);
    await expect
      .poll(async () => Number.parseInt(await textOf(cell), 10), { timeout: 10_000 })
      .toBeGreaterThan(first + 1);
  });
});

async function expectNoViolations(page: Page): Promise<void> {
  await page.getByRole("heading", { level: 1 }).waitFor();
  const { violations } = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
    .analyze();
  expect(violations.map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)])).toEqual([]);
}
