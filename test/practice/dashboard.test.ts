import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { browser as browserName } from "./browser-process.ts";
import {
  admin,
  data,
  endNetwork,
  eventually,
  type NetworkProcess,
  practiceFolder,
  programOnPath,
  startNetwork,
} from "./network-process.ts";

let browser: Browser;
let context: BrowserContext;
let page: Page;
let directory: string;
let network: NetworkProcess;
let clientid: string;

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: await programOnPath(browserName),
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
  directory = await practiceFolder();
  network = await startNetwork(directory);
  const { token } = await data<{ token: string }>(network.info, "POST", "/practice/enrol", {
    body: { code: network.info.enrolCode },
  });
  const registration = { installation: randomUUID(), version: "1.0.0" };
  const node = await data<{ clientid: string }>(network.info, "POST", "/practice/nodes", { body: registration, token });
  clientid = node.clientid;
  const heartbeat = { clientid, version: "1.0.0", nonce: "0".repeat(32) };
  await data(network.info, "POST", "/practice/heartbeats", { body: heartbeat, token });
});

afterAll(async () => {
  await browser.close();
  await endNetwork(network, "SIGKILL");
  await rm(directory, { recursive: true });
});

beforeEach(async () => {
  context = await browser.newContext({ baseURL: network.info.origin });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  page = await context.newPage();
});

afterEach(async () => {
  await context.close();
  await admin(network.info, "DELETE", "misbehaviours");
});

async function signInByForm(): Promise<void> {
  await page.goto("/");
  await page.getByPlaceholder("Enter Email").fill(network.info.account.email);
  await page.getByPlaceholder("Enter Password").fill(network.info.account.password);
  await page.locator("button").first().click();
  await page.getByText("Copy Referral Link").waitFor();
}

describe("the practice dashboard", () => {
  it("signs in by its form and reads its figures from the JSON API", async () => {
    const read: string[] = [];
    page.on("response", (response) => read.push(new URL(response.url()).pathname));
    await signInByForm();
    expect(new URL(page.url()).pathname).toBe("/dashboard");
    expect(read).toEqual(expect.arrayContaining(["/api/user/profile", "/api/point/stats", "/api/status"]));
    await page.goto("/dashboard/node");
    await page.locator("table tbody tr").waitFor();
    expect(await page.locator("table tbody tr td:nth-child(2) span").allInnerTexts()).toEqual(["Good"]);
    expect(await page.locator("table tbody").textContent()).toContain(clientid);
    expect(read).toContain("/api/sentrynode/list");
  });

  it("is labelled practice on every page, runs under a strict policy, and axe finds nothing", async () => {
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto("/");
    await page.getByPlaceholder("Enter Email").waitFor();
    const faults = async () => (await new AxeBuilder({ page }).analyze()).violations.map(({ id, help }) => [id, help]);
    expect(await faults()).toEqual([]);
    await signInByForm();
    for (const path of ["/dashboard", "/dashboard/node", "/dashboard/referral", "/dashboard/setting"]) {
      const response = await page.goto(path);
      await page.locator("h1").waitFor();
      expect(await page.locator(".practice").textContent()).toBe("practice");
      expect(await page.title()).toContain("practice");
      expect(response?.headers()["content-security-policy"]).toContain("default-src 'none'");
      expect(await faults()).toEqual([]);
    }
    expect(complaints).toEqual([]);
  });

  it("shows a status never seen before as it was sent, and text as text", async () => {
    const status = `<img src=x onerror="document.title='broken'">`;
    await admin(network.info, "POST", "misbehaviours", { kind: "node-status", clientid, status });
    await signInByForm();
    await page.goto("/dashboard/node");
    const cell = page.locator("table tbody tr td:nth-child(2) span");
    expect(await cell.textContent()).toBe(status);
    expect(await page.locator("img").count()).toBe(0);
  });

  it("shows referral counts as registered less pending, and copies the link", async () => {
    await admin(network.info, "POST", "invitees", { count: 5, pending: 2 });
    await signInByForm();
    await page.goto("/dashboard/referral");
    expect(await page.locator("dd").allInnerTexts()).toEqual(expect.arrayContaining(["3", "2"]));
    await page.getByText("Copy Referral Link").click();
    await page.getByText("The referral link is copied.").waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toMatch(/\/\?code=[A-Z2-9]{6}$/);
  });

  it("says so when the password is wrong, and lets nobody in", async () => {
    await page.goto("/");
    await page.getByPlaceholder("Enter Email").fill(network.info.account.email);
    await page.getByPlaceholder("Enter Password").fill("wrong");
    await page.locator("button").first().click();
    await page.getByText("The email or the password is wrong.").waitFor();
    await page.goto("/dashboard");
    await page.getByPlaceholder("Enter Email").waitFor();
  });

  it("gets a new token when the network refuses the one it has, and returns to the form when that fails too", async () => {
    await signInByForm();
    await admin(network.info, "POST", "misbehaviours", { kind: "signed-out", path: "/api/user", count: 1 });
    const refreshed = page.waitForResponse("**/practice/refresh");
    await page.goto("/dashboard");
    expect((await refreshed).status()).toBe(200);
    await page.getByText("Copy Referral Link").waitFor();
    await admin(network.info, "POST", "misbehaviours", { kind: "signed-out", path: "/api/user" });
    await page.goto("/dashboard");
    await page.getByPlaceholder("Enter Email").waitFor();
  });

  it("signs out by /logout", async () => {
    await signInByForm();
    await page.goto("/logout");
    await page.getByPlaceholder("Enter Email").waitFor();
    await page.goto("/dashboard/node");
    await page.getByPlaceholder("Enter Email").waitFor();
  });

  it("says what went wrong when the JSON is not what it should be, and recovers by itself", async () => {
    await signInByForm();
    await admin(network.info, "POST", "misbehaviours", { kind: "html", path: "/api/user", count: 1 });
    await page.goto("/dashboard");
    await page.getByText("no JSON").waitFor();
    await eventually(
      "the page's recovery",
      async () => (await page.getByText("Copy Referral Link").count()) || undefined,
    );
  });

  it("can be a region block or a captcha instead", async () => {
    await admin(network.info, "POST", "misbehaviours", { kind: "region-block", path: "/", count: 1 });
    await page.goto("/");
    await page.getByText("Sorry, Gradient is not yet available in your region.").waitFor();
    await admin(network.info, "POST", "misbehaviours", { kind: "captcha", path: "/", count: 1 });
    expect((await page.goto("/"))?.status()).toBe(403);
  });
});
