import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { nodePaths, readJson, type UnitsFile } from "../../../../../cloud-init/agent/folder.ts";
import { readSamples } from "../../../../../cloud-init/agent/samples.ts";
import {
  drainJournal,
  groupAlive,
  groupIdentity,
  readSpec,
  removeGroup,
  startGroup,
  stopGroup,
} from "../../../../../infra/providers/local/process/group.ts";
import type { GroupSpec } from "../../../../../infra/providers/local/process/spec.ts";
import {
  askAgent,
  type Beats,
  buildArtefacts,
  descendantsOf,
  execute,
  journalOf,
  linesOf,
  listenForBeats,
  type PackedExtension,
  packExtension,
  plainSpec,
  processesWith,
  sentrySpec,
  stillRunning,
  temporaryFolder,
  until,
} from "./fixture.ts";

let built: Awaited<ReturnType<typeof temporaryFolder>>;
let artefacts: string;
let extension: PackedExtension;

beforeAll(async () => {
  built = await temporaryFolder();
  artefacts = join(built.path, "bin");
  [extension] = await Promise.all([packExtension(built.path), buildArtefacts(artefacts)]);
});
afterAll(() => built.remove());

/** A node's folder in a new home folder; the group is stopped and the folder removed when the test has ended. */
async function newNode(): Promise<{ home: string; directory: string }> {
  const folder = await temporaryFolder();
  const home = join(folder.path, "home");
  const directory = join(home, "nodes", "home", "0");
  cleanups.push(async () => {
    if (existsSync(directory)) await stopGroup(directory, { deadlineMs: 10_000 });
    await folder.remove();
  });
  return { home, directory };
}

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function newNetwork(): Promise<Beats> {
  const beats = await listenForBeats();
  cleanups.push(() => beats.close());
  return beats;
}

const start = (home: string, directory: string, spec: GroupSpec) => startGroup(home, directory, spec, { artefacts });

const events = async (directory: string, name: string) =>
  linesOf(await journalOf(directory)).filter(({ event }) => event?.name === name);

const unitsOf = (directory: string): UnitsFile => {
  const units = readJson<UnitsFile>(nodePaths(directory).units);
  if (units === undefined) throw new Error("no units.json");
  return units;
};

/** The browser's number outside its own process tree. */
async function browserPid(directory: string): Promise<number> {
  const browser = (await descendantsOf(groupIdentity(directory)?.pid ?? 0)).find(
    ({ args }) => args[1] === "--headless=new" && !args.some((word) => word.startsWith("--type=")),
  );
  if (browser === undefined) throw new Error("no browser runs");
  return browser.pid;
}

/** All files below the machine's own policy folders and its list of accounts, as one text. */
async function machineFiles(): Promise<string> {
  const text: string[] = [];
  for (const folder of ["/etc/chromium", "/etc/opt", "/etc/gradientlab"]) {
    if (!existsSync(folder)) continue;
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      text.push(path, entry.isFile() ? await readFile(path, "base64") : "");
    }
  }
  text.push(await readFile("/etc/passwd", "utf8"), await readFile("/etc/group", "utf8"));
  return text.join("\n");
}

describe("a node with a browser", () => {
  it("runs the extension by a policy that only this node sees, sandboxed, and tells no secret", async () => {
    const before = await machineFiles();
    const { home, directory } = await newNode();
    const beats = await newNetwork();
    const started = await start(home, directory, sentrySpec(extension, beats.origin));
    expect(started.note).toBeNull();

    const looked = await until("a look into the extension", 60_000, async () =>
      linesOf(await journalOf(directory)).find(({ app }) => app?.looked && app.network_node_id !== undefined),
    );
    expect(looked.app).toMatchObject({ state: "up", version: "1.2.3" });
    expect(looked.app?.heartbeat_age_s).toBeLessThan(60);
    expect(looked.runtime?.pss_bytes).toBeGreaterThan(50_000_000);
    expect(looked.net?.connect_ms).toBeGreaterThan(0);
    const id = looked.app?.network_node_id;
    await until("a heartbeat at the network", 60_000, () => (beats.ids.includes(id ?? "") ? true : undefined));
    const changed = await until("the event of the new id", 10_000, async () =>
      (await events(directory, "network-node-changed")).at(0),
    );
    expect(changed.event).toMatchObject({ from: null, to: id });

    const pid = await browserPid(directory);
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    expect(status).toMatch(/^CapEff:\s+0000000000000000$/m);
    expect(status).toMatch(/^CapAmb:\s+0000000000000000$/m);
    if (process.getuid?.() === 0) expect(status).toMatch(/^Uid:\s+61001\s/m);
    expect(await sandboxedRenderers(pid)).toBeGreaterThan(0);
    expect(existsSync(join("/proc", `${pid}`, "root", "etc/chromium/policies/managed/gradientlab.json"))).toBe(true);
    expect(await machineFiles()).toBe(before);

    const kept = await everythingWritten(directory);
    for (const secret of ["planted-refresh-token", "c2VjcmV0", "planted-enrol-code"])
      expect(kept).not.toContain(secret);
  });

  it("is back within 30 s after its browser was killed, with the same id, and tells of the restart", async () => {
    const { home, directory } = await newNode();
    const beats = await newNetwork();
    await start(home, directory, sentrySpec(extension, beats.origin, { everySeconds: 1 }));
    const before = await until("the first look", 60_000, async () =>
      linesOf(await journalOf(directory)).find(({ app }) => app?.network_node_id !== undefined),
    );
    const pid = await browserPid(directory);
    process.kill(pid, "SIGKILL");
    const killed = performance.now();
    await until("the browser's return", 30_000, () => {
      const [unit] = unitsOf(directory).units;
      return unit?.state === "up" && unit.restarts === 1 ? unit : undefined;
    });
    expect(performance.now() - killed).toBeLessThan(30_000);
    expect((await events(directory, "unit-exited")).at(-1)?.event).toMatchObject({
      unit: "browser",
      signal: "SIGKILL",
    });
    await until("the event of the restart", 10_000, async () =>
      (await events(directory, "unit-started")).length === 2 ? true : undefined,
    );
    const after = await until("a look after the restart", 60_000, async () =>
      linesOf(await journalOf(directory)).findLast(
        ({ n, app }) => n > before.n + 3 && app?.network_node_id !== undefined && app.looked,
      ),
    );
    expect(after.app?.network_node_id).toBe(before.app?.network_node_id);
    expect(after.runtime?.restarts).toBe(1);
  });

  it("is wholly gone when its outermost process is killed, and comes back with profile, journal and id", async () => {
    const { home, directory } = await newNode();
    const beats = await newNetwork();
    const spec = sentrySpec(extension, beats.origin);
    const first = await start(home, directory, spec);
    await until("the first look", 60_000, async () =>
      linesOf(await journalOf(directory)).find(({ app }) => app?.network_node_id !== undefined),
    );
    const id = beats.ids[0] ?? (await until("a heartbeat", 60_000, () => beats.ids[0]));
    const all = await descendantsOf(groupIdentity(directory)?.pid ?? 0);
    expect(all.length).toBeGreaterThan(8);
    const held = linesOf(await journalOf(directory));
    process.kill(groupIdentity(directory)?.pid ?? 0, "SIGKILL");
    await until("the end of all processes", 10_000, async () => ((await groupAlive(directory)) ? undefined : true));
    await until("the end of the browser", 10_000, () => (stillRunning(all).length === 0 ? true : undefined));
    expect(await execute("flock", ["-n", nodePaths(directory).lock, "true"])).toMatchObject({ code: 0 });

    const second = await start(home, directory, { ...spec, machineId: crypto.randomUUID() });
    expect(second.machineId).toBe(first.machineId);
    beats.ids.length = 0;
    expect(await until("a heartbeat of the second life", 60_000, () => beats.ids[0])).toBe(id);
    const lines = linesOf(await journalOf(directory));
    expect(lines.slice(0, held.length).map(({ n }) => n)).toEqual(held.map(({ n }) => n));
    expect(new Set(lines.map(({ j }) => j)).size).toBe(1);
    expect(lines.filter(({ event }) => event?.name === "boot")).toHaveLength(2);
  });
});

describe("a group without a browser", () => {
  const sleeper = ["sh", "-c", "echo begun with token=abcdefghij; exec sleep 1000"];

  it("is started once by two starts at once, and the loser says why", async () => {
    const { home, directory } = await newNode();
    const results = await Promise.allSettled([
      start(home, directory, plainSpec(sleeper)),
      start(home, directory, plainSpec(sleeper)),
    ]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const lost = results.find((result) => result.status === "rejected");
    expect(lost?.reason).toMatchObject({ code: "group-busy" });
    expect(await groupAlive(directory)).toBe(true);
  });

  it("is adopted as it runs by a second start with the same spec, and refused to another key", async () => {
    const { home, directory } = await newNode();
    const first = await start(home, directory, plainSpec(sleeper));
    const outer = groupIdentity(directory);
    const second = await start(home, directory, plainSpec(sleeper));
    expect(second).toEqual(first);
    expect(groupIdentity(directory)).toEqual(outer);
    await expect(start(home, directory, plainSpec(sleeper, { key: "home/1" }))).rejects.toMatchObject({
      code: "group-foreign",
    });
    await start(home, directory, plainSpec(sleeper, { everySeconds: 3 }));
    expect(groupIdentity(directory)).not.toEqual(outer);
    expect((await readSpec(directory))?.everySeconds).toBe(3);
  });

  it("fails to start with the unit's own words when the unit does not stay up", async () => {
    const { home, directory } = await newNode();
    const spec = plainSpec(["sh", "-c", "echo the cat ate it; exit 3"]);
    const failed = startGroup(home, directory, spec, { artefacts, startMs: 6000 });
    await expect(failed).rejects.toMatchObject({ code: "group-failed" });
    await expect(failed).rejects.toThrow(/plain does not stay up.*the cat ate it/);
    expect(await groupAlive(directory)).toBe(false);
  });

  it("refuses a spec with every mistake named", async () => {
    const { home, directory } = await newNode();
    const spec = { ...plainSpec(sleeper), machineId: "x", everySeconds: 0 };
    await expect(start(home, directory, spec)).rejects.toThrow(/2 mistakes.*machineId.*everySeconds/s);
    expect(existsSync(directory)).toBe(false);
  });

  it("drains its whole journal into a spool file that a reader takes, and is removed", async () => {
    const { home, directory } = await newNode();
    const spec = plainSpec(sleeper);
    await start(home, directory, spec);
    await until("a sample", 20_000, async () =>
      linesOf(await journalOf(directory)).find(({ kind }) => kind === "sample"),
    );
    await expect(removeGroup(directory)).rejects.toMatchObject({ code: "group-running" });
    await stopGroup(directory, { deadlineMs: 10_000 });
    const lines = linesOf(await journalOf(directory));
    expect(lines.at(-1)?.event?.name).toBe("unit-exited");

    const spool = join(home, "spool", "home", "0", "journal.jsonl");
    const drained = await drainJournal(directory, spool);
    expect(drained).toEqual({ journal: lines[0]?.j, lines: lines.length });
    const read = await readSamples([await readFile(spool)], { after: null });
    expect(read.header).toMatchObject({ key: "home/0", machineId: spec.machineId, first: 1, last: lines.length });
    expect(linesOf(read.items)).toEqual(lines);
    await removeGroup(directory);
    expect(existsSync(join(home, "nodes", "home"))).toBe(false);
    await removeGroup(directory);
  });

  it("leaves nothing behind when stopped: no process, no mount, no temporary folder", async () => {
    const { home, directory } = await newNode();
    const mounts = await readFile("/proc/self/mountinfo", "utf8");
    const leader = `sleep 98${process.pid}`;
    await start(home, directory, plainSpec(["sh", "-c", `(setsid ${leader} &) ; ${leader}`]));
    await until("both sleepers", 10_000, async () => ((await processesWith(leader)).length >= 2 ? true : undefined));
    await stopGroup(directory, { deadlineMs: 10_000 });
    expect(await processesWith(leader)).toEqual([]);
    expect(await processesWith(directory)).toEqual([]);
    expect(await readFile("/proc/self/mountinfo", "utf8")).toBe(mounts);
  });

  it("ends a unit that ignores SIGTERM with SIGKILL after its stop time", async () => {
    const { home, directory } = await newNode();
    await start(home, directory, plainSpec(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]));
    const begun = performance.now();
    await stopGroup(directory, { deadlineMs: 20_000 });
    expect(performance.now() - begun).toBeGreaterThan(2500);
    expect((await events(directory, "unit-exited")).at(-1)?.event).toMatchObject({ signal: "SIGKILL" });
  });

  it("starts its supervisor again when that was killed, and the units with it", async () => {
    const { home, directory } = await newNode();
    await start(home, directory, plainSpec(sleeper));
    const outer = groupIdentity(directory);
    const begun = unitsOf(directory).supervisor.startedAt;
    const all = await descendantsOf(outer?.pid ?? 0);
    const supervisor = all.find(
      ({ args }) => args[0] !== "sh" && args.some((word) => word.endsWith("/supervisor.cjs")) && args[0] !== "unshare",
    );
    process.kill(supervisor?.pid ?? 0, "SIGKILL");
    await until("the next supervisor", 20_000, () => {
      const now = unitsOf(directory);
      return now.supervisor.startedAt > begun && now.phase === "up" ? true : undefined;
    });
    expect(groupIdentity(directory)).toEqual(outer);
    expect(await groupAlive(directory)).toBe(true);
    await until("a second boot in the journal", 10_000, async () =>
      (await events(directory, "boot")).length === 2 ? true : undefined,
    );
  });

  it("keeps the caller's environment, with what it may hold, away from the units", async () => {
    const { home, directory } = await newNode();
    process.env.PLANTED_CREDENTIAL = "planted";
    cleanups.push(async () => {
      delete process.env.PLANTED_CREDENTIAL;
    });
    await start(home, directory, plainSpec(["sh", "-c", "env; exec sleep 1000"]));
    const log = await until("the environment", 10_000, () => {
      const text = readFileSync(nodePaths(directory).log("plain"), "utf8");
      return text.includes("HOME=") ? text : undefined;
    });
    expect(log).not.toContain("planted");
    expect(log).not.toContain("GRADIENTLAB_SUPERVISED");
  });

  it("copies a workload's files, fills in placeholders and lets the unprivileged account run Node", async () => {
    const { home, directory } = await newNode();
    const source = join(home, "program.mjs");
    await mkdir(home, { recursive: true, mode: 0o700 });
    await writeFile(
      source,
      "console.log('uid', process.getuid(), process.argv[2]); setInterval(() => undefined, 1000);",
    );
    const spec = plainSpec(["{runtime}", "{node}/workload/program.mjs", "{origin}"], {
      files: [{ from: source, to: "workload/program.mjs" }],
      network: { name: "practice", origin: "http://127.0.0.1:9", extension: null, settings: {} },
    });
    await start(home, directory, spec);
    const uid = process.getuid?.() === 0 ? 61001 : process.getuid?.();
    await until("the program's words", 10_000, () =>
      readFileSync(nodePaths(directory).log("plain"), "utf8").includes(`uid ${uid} http://127.0.0.1:9`)
        ? true
        : undefined,
    );
    const refused = await until("a sample", 20_000, async () =>
      linesOf(await journalOf(directory)).find(({ kind }) => kind === "sample"),
    );
    expect(refused.errors).toEqual([{ field: "net.connect_ms", code: "ECONNREFUSED" }]);
    expect(refused.net).toBeUndefined();
  });
});

describe("the agent of a node that runs", () => {
  it("answers its verbs with the documented exit codes", async () => {
    const { home, directory } = await newNode();
    await start(home, directory, plainSpec(["sh", "-c", "echo token=abcdefghijk and more; exec sleep 1000"]));
    const code = async (...words: string[]) => (await askAgent(directory, words)).code;
    expect(JSON.parse((await askAgent(directory, ["version"])).stdout)).toMatchObject({ agent: "0.1.0", line: 1 });
    expect(JSON.parse((await askAgent(directory, ["status"])).stdout)).toMatchObject({
      key: "home/0",
      alive: true,
      phase: "up",
    });
    expect(await code("sample")).toBe(0);
    const log = await askAgent(directory, ["logs", "--unit", "plain", "--lines", "5"]);
    expect(log.stdout).toBe('{"unit":"plain","line":"token=[redacted] and more"}\n');

    for (const words of [
      [],
      ["dance"],
      ["version", "now"],
      ["samples", "--after", "start"],
      ["samples", "--after", "1", "--max-bytes", "10"],
      ["samples", "--after", "start", "--max-bytes", "-1"],
      ["logs", "--unit", "../node", "--lines", "5"],
      ["recover", "everything", "--action", "a"],
      ["recover", "runtime", "--action", "../a"],
      ["constructor"],
    ])
      expect([words, await code(...words)]).toEqual([words, 64]);
    expect(await code("logs", "--unit", "nobody", "--lines", "5")).toBe(69);
    expect(await code("event", "--json", "{}")).toBe(77);

    await stopGroup(directory, { deadlineMs: 10_000 });
    expect(JSON.parse((await askAgent(directory, ["status"])).stdout)).toMatchObject({ alive: false });
    expect(await code("sample")).toBe(69);
    expect(await code("recover", "runtime", "--action", "late")).toBe(69);
  });

  it("recovers a layer once for each id, however often it is asked", async () => {
    const { home, directory } = await newNode();
    await start(home, directory, plainSpec(["sleep", "1000"]));
    const twice = await Promise.all([1, 2].map(() => askAgent(directory, ["recover", "runtime", "--action", "r1"])));
    const [first, again] = [...twice, await askAgent(directory, ["recover", "runtime", "--action", "r1"])].map(
      ({ code, stdout }) => ({ code, stdout }),
    );
    expect(first).toEqual(again);
    expect(JSON.parse(first?.stdout ?? "")).toMatchObject({ id: "r1", outcome: "done" });
    expect((await askAgent(directory, ["recover", "workload", "--action", "r1"])).code).toBe(77);
    await until("the unit's return", 10_000, () => (unitsOf(directory).units[0]?.state === "up" ? true : undefined));
    expect(unitsOf(directory).units[0]?.restarts).toBe(1);
    expect(await events(directory, "action")).toHaveLength(1);
  });

  it("restarts the whole group on reboot, whose action is done only then", async () => {
    const { home, directory } = await newNode();
    await start(home, directory, plainSpec(["sleep", "1000"]));
    const before = unitsOf(directory).supervisor.startedAt;
    const { code, stdout } = await askAgent(directory, ["recover", "reboot", "--action", "b1"]);
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { outcome: "done", layer: "reboot" }]);
    expect(unitsOf(directory).supervisor.startedAt > before).toBe(true);
    await until("both events of the action", 10_000, async () => {
      const outcomes = (await events(directory, "action")).map(({ event }) => event?.outcome);
      return outcomes.join() === "begun,done" ? true : undefined;
    });
  });

  it("keeps no journal for a group without one, and says so", async () => {
    const { home, directory } = await newNode();
    await start(home, directory, plainSpec(["sleep", "1000"], { everySeconds: null }));
    expect((await askAgent(directory, ["sample"])).code).toBe(77);
    expect((await askAgent(directory, ["samples", "--after", "start", "--max-bytes", "100"])).code).toBe(75);
    await stopGroup(directory, { deadlineMs: 10_000 });
    expect(await drainJournal(directory, join(home, "spool.jsonl"))).toBeUndefined();
    expect(existsSync(join(home, "spool.jsonl"))).toBe(false);
  });
});

/** Renderers that run below the browser in a user namespace of their own and under a seccomp filter. */
async function sandboxedRenderers(browser: number): Promise<number> {
  const own = readlinkSync(`/proc/${browser}/ns/user`);
  const renderers = (await descendantsOf(browser)).filter(({ args }) => args.includes("--type=renderer"));
  return renderers.filter(
    ({ pid }) =>
      /^Seccomp:\s+2$/m.test(readFileSync(`/proc/${pid}/status`, "utf8")) &&
      readlinkSync(`/proc/${pid}/ns/user`) !== own,
  ).length;
}

/** All that a node writes for others to read: journal, logs, state. The browser's own profile is its secret. */
async function everythingWritten(directory: string): Promise<string> {
  const answers = [
    (await askAgent(directory, ["samples", "--after", "start", "--max-bytes", "8000000"])).stdout,
    (await askAgent(directory, ["status"])).stdout,
  ];
  for (const folder of ["journal", "logs", "state", "actions"])
    for (const name of readdirSync(join(directory, folder)))
      answers.push(readFileSync(join(directory, folder, name), "utf8"));
  return answers.join("\n");
}
