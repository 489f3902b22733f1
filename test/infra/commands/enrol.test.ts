import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { debuggingEndpoint } from "../../../cloud-init/agent/devtools.ts";
import { checkout } from "../../../infra/engine/environment.ts";
import { ServiceInfo } from "../../../practice/service-info.ts";
import { until } from "../../harness/checkout.ts";
import { browserOf, filesIn, nodeFolder } from "../../harness/node-processes.ts";
import { makeProject, type Project } from "../../harness/project.ts";
import { browser as browserName, inPage } from "../../practice/browser-process.ts";
import { admin, heartbeatsOf, programOnPath } from "../../practice/network-process.ts";

const launch = join(checkout, "infra", "commands", "launch.mjs");
const key = "home/0";

describe("npm run enrol", () => {
  let project: Project;
  let info: ServiceInfo;
  const folder = (): string => nodeFolder(project.place.home, key);
  const debugging = (): string => `http://127.0.0.1:${debuggingEndpoint(join(folder(), "profile")).port}`;

  /** Begins the command; `typed` is what stands on its standard input. */
  const begin = (
    words: readonly string[],
    typed = "",
    env: NodeJS.ProcessEnv = {},
  ): { child: ChildProcess; said: () => string; code: Promise<number> } => {
    const child = spawn(process.execPath, [launch, "enrol", ...words], {
      env: { ...project.place.env, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin?.end(typed);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    const code = once(child, "close").then(([ended]) => Number(ended));
    return { child, said: () => output, code };
  };
  const enrol = async (
    words: readonly string[],
    typed = "",
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ code: number; output: string }> => {
    const { said, code } = begin(words, typed, env);
    return { code: await code, output: said() };
  };
  const misbehave = (request: Readonly<Record<string, unknown>>) => admin(info, "POST", "misbehaviours", request);
  const login = (): Promise<string> =>
    inPage<string>(
      { debugging: debugging() },
      `${info.origin}/practice/health`,
      `localStorage.getItem("loginInfo") ?? "nobody"`,
    );
  const signOut = (): Promise<string> =>
    inPage<string>({ debugging: debugging() }, `${info.origin}/practice/health`, `localStorage.clear(), "gone"`);

  beforeAll(async () => {
    project = await makeProject();
    project.configure({
      home: { workload: "sentry", network: "practice", count: 1, options: { everySeconds: 5 } },
      bare: { count: 1 },
    });
    await project.up();
    info = ServiceInfo.parse(project.json("practice", "state", "service.json"));
    await until("the node's browser", 120_000, async () => {
      try {
        return (await fetch(`${debugging()}/json/version`)).ok;
      } catch {
        return false;
      }
    });
  });

  afterEach(async () => {
    await admin(info, "DELETE", "misbehaviours");
  });

  afterAll(async () => {
    await project?.remove();
  });

  it("tries a password that is refused once, and says so without repeating it", async () => {
    const { code, output } = await enrol([key, "--typed"], `${info.account.email}\nplanted-word-1\n`);
    expect(output).toContain("did not take the address and the password (HTTP 401)");
    expect(code).toBe(1);
    expect(output).not.toContain("planted-word-1");
    expect(await login()).toBe("nobody");
  });

  it("says that the region is not served, and types nothing", async () => {
    await misbehave({ kind: "region-block", path: "/dashboard" });
    const { code, output } = await enrol([key]);
    expect(output).toContain("the network is not available in this region");
    expect(code).toBe(1);
    expect(await login()).toBe("nobody");
  });

  it("does not take a dashboard that fails for one that asks a person", async () => {
    await misbehave({ kind: "status", status: 503, path: "/dashboard" });
    expect(await enrol([key])).toMatchObject({ code: 1, output: expect.stringContaining("HTTP 503") });
  });

  it("shows a captcha to the operator, solves none, and goes on when it was done by hand", async () => {
    await misbehave({ kind: "captcha", path: "/dashboard", count: 1 });
    const { said, code } = begin([key]);
    await until("the window", 60_000, () => said().includes("http://127.0.0.1:"), said);
    const url = /http:\/\/127\.0\.0\.1:\d+\/\S+/.exec(said())?.[0] ?? "";
    // Without the word in its path the window shows nothing.
    expect((await fetch(new URL("/", url))).status).toBe(404);
    const operator: Browser = await chromium.launch({
      executablePath: await programOnPath(browserName),
      args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
    });
    try {
      const hand = await operator.newPage();
      await hand.goto(url, { waitUntil: "commit" });
      const picture = hand.getByAltText("The page in the node's browser");
      await hand.waitForFunction("document.querySelector('img').naturalWidth > 0");
      // Where the link stands is asked of the node's browser; the hand sees it in the picture.
      const node = await chromium.connectOverCDP(debugging());
      const page = node
        .contexts()[0]
        ?.pages()
        .find((each) => each.url().startsWith(info.origin));
      const link = await page?.getByText("I am a person").boundingBox();
      const size = (await page?.evaluate("[innerWidth, innerHeight]")) as [number, number];
      await node.close();
      const shown = await picture.boundingBox();
      if (!link || shown === null) throw new Error("the window shows no link");
      await picture.click({
        position: {
          x: ((link.x + link.width / 2) / size[0]) * shown.width,
          y: ((link.y + link.height / 2) / size[1]) * shown.height,
        },
      });
      expect({ code: await code, said: said() }).toMatchObject({ code: 0 });
    } finally {
      await operator.close();
    }
    expect(said()).toContain("The page wants a captcha solved, which only a person may do. Do it by hand");
    expect(said()).toContain(`The browser of ${key} is signed in at ${info.origin}.`);
    expect(await login()).toContain('"token"');
  });

  it("leaves a browser that is signed in as it is, and its page, its process and its heartbeats with it", async () => {
    const before = browserOf(project.place.home, key);
    const { code, output } = await enrol([key]);
    expect(output).toContain(`was signed in at ${info.origin} already`);
    expect(code).toBe(0);
    expect(browserOf(project.place.home, key)).toBe(before);
    const targets = (await (await fetch(`${debugging()}/json/list`)).json()) as { type: string; url: string }[];
    expect(targets.filter(({ type, url }) => type === "page" && url.startsWith(info.origin))).toEqual([]);
    const id = await inPage<string>(
      { debugging: debugging() },
      `chrome-extension://${info.extension.id}/popup.html`,
      `chrome.storage.local.get("clientid").then(({ clientid }) => clientid)`,
    );
    const { length } = (await heartbeatsOf(info, id)).heartbeats;
    await until("another heartbeat", 120_000, async () => (await heartbeatsOf(info, id)).heartbeats.length > length);
  });

  it("signs in again where the session has expired", async () => {
    const old = await login();
    await misbehave({ kind: "signed-out", path: "/api/user", count: 1 });
    await misbehave({ kind: "signed-out", path: "/practice/refresh", count: 1 });
    const { code, output } = await enrol([key]);
    expect(output).toContain(`The browser of ${key} is signed in`);
    expect(code).toBe(0);
    expect(await login()).not.toBe(old);
  });

  it("signs in with what is typed, and keeps it nowhere on the node", async () => {
    await signOut();
    const { code, output } = await enrol([key, "--typed"], `${info.account.email}\n${info.account.password}\n`);
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(await login()).toContain('"token"');
    const ours = filesIn(folder()).filter((file) => !file.includes("/profile/"));
    expect(ours.length).toBeGreaterThan(5);
    for (const file of ours) expect(readFileSync(file, "latin1").includes(info.account.password)).toBe(false);
  });

  it.each([
    [[], "Exactly one node has to be named"],
    [["home/7"], "There is no node home/7. There are: bare/0, home/0."],
    [["bare/0"], "bare/0 earns from no network"],
    [[key, "--account", "other"], "There is no account other of practice"],
    [[key, "--origin", "http://dashboard.example.org"], "does not go to http://dashboard.example.org unencrypted"],
    [[key, "--origin", "app.example.org/x"], "is no address of a dashboard"],
  ])("refuses %j as bad input", async (words, why) => {
    const { code, output } = await enrol(words);
    expect(output).toContain(why);
    expect(code).toBe(2);
  });

  it("sends no node that is reached by SSH to an address of this machine's own", async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), "enrol-"));
    try {
      const { nodes, ...inventory } = await project.inventory();
      const reach = { kind: "ssh", host: "127.0.0.1", port: 9, user: "gl-agent", hostKeys: [] };
      const file = { ...inventory, nodes: nodes.map((node) => ({ ...node, reach })) };
      const written = { schema: 1, sha256: "0".repeat(64), writtenAt: new Date().toISOString(), inventory: file };
      await writeFile(join(elsewhere, "inventory.json"), JSON.stringify(written));
      const env = { GRADIENTLAB_HOME: elsewhere, NETWORKS: join(project.place.home, "networks") };
      const { code, output } = await enrol([key], "", env);
      expect(output).toContain(`${info.origin} is an address of this machine's own`);
      expect(output).toContain("--origin");
      expect(code).toBe(2);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });
});
