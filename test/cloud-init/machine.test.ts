import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { act, type MachineControl } from "../../cloud-init/agent/act.ts";
import { requestAction } from "../../cloud-init/agent/action.ts";
import { changesOf, listeningIn, loginEvents, securityUpdatesIn } from "../../cloud-init/agent/changes.ts";
import { askedOver } from "../../cloud-init/agent/command.ts";
import { type ActionDone, type NodeFile, nodePaths, readJson } from "../../cloud-init/agent/folder.ts";
import { hookEvent } from "../../cloud-init/agent/hook.ts";
import { installAgent } from "../../cloud-init/agent/install.ts";
import { statusPage } from "../../cloud-init/agent/status-page.ts";
import { unitIn } from "../../cloud-init/agent/systemd.ts";
import { serviceOf } from "../../cloud-init/machine/layout.ts";

const node: NodeFile = {
  schema: 1,
  key: "home/0",
  supervision: "systemd",
  machineId: "machine",
  everySeconds: 300,
  workload: "sentry",
  revision: { machine: 1, software: 1 },
  units: [
    { name: "browser", account: "unprivileged", exec: ["{browser}"], stopSeconds: 20 },
    { name: "helper", account: "unprivileged", exec: ["/bin/true"], stopSeconds: 20 },
  ],
  network: null,
  probes: { runtime: { kind: "unit", unit: "browser" }, app: null },
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gl-machine-"));
  for (const name of ["actions", "done", "state"]) mkdirSync(join(directory, name));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("what the collector's key may ask for over SSH", () => {
  it.each([
    ["status", ["status"]],
    ["samples --after start --max-bytes 1000", ["samples", "--after", "start", "--max-bytes", "1000"]],
    ["recover  runtime --action a_1-b", ["recover", "runtime", "--action", "a_1-b"]],
  ])("%s is a verb", (command, words) => {
    expect(askedOver(command)).toEqual({ kind: "verb", words });
  });

  it.each([
    ["nothing, which is a shell", undefined],
    ["a shell", "bash"],
    ["a file transfer", "/usr/lib/openssh/sftp-server"],
    ["a verb of the machine's own", "hook boot"],
    ["a verb of root's", "act"],
    ["a verb of the operator's", "network"],
    ["another verb of the operator's", "install"],
    ["a second command", "status; reboot"],
    ["a substitution", "logs --unit $(id) --lines 1"],
    ["a line break", "status\nreboot"],
    ["a very long line", `status ${"a".repeat(100_000)}`],
  ])("%s is refused", (_name, command) => {
    expect(askedOver(command).kind).toBe("refused");
  });

  it("is told without the secrets in it", () => {
    const asked = askedOver("curl -H 'Authorization: Bearer abcdefghijklmnop' http://me:hunter2@host/");
    expect(JSON.stringify(asked)).not.toMatch(/abcdefghijklmnop|hunter2/);
  });
});

describe("an agent that takes the place of another", () => {
  const old = 'process.stdout.write(JSON.stringify({ agent: "1.0.0" }));\n';
  const read = (name: string): string => readFileSync(join(directory, name), "utf8");
  beforeEach(() => {
    writeFileSync(join(directory, "agent.cjs"), old);
    writeFileSync(join(directory, "node.json"), JSON.stringify({ ...node, heartbeatStaleSeconds: 120 }));
  });

  it("is there whole, with its revision, once it has said its version", () => {
    const program = old.replace("1.0.0", "1.1.0");
    expect(installAgent(directory, { program, software: 2 }, "1.0.0")).toEqual({ from: "1.0.0", to: "1.1.0" });
    expect(read("agent.cjs")).toBe(program);
    expect(JSON.parse(read("node.json"))).toEqual({
      ...node,
      heartbeatStaleSeconds: 120,
      revision: { machine: 1, software: 2 },
    });
    expect(readdirSync(directory).toSorted()).toEqual(["actions", "agent.cjs", "done", "node.json", "state"]);
  });

  it.each([
    ["does not run", "this is no program\n", /does not run, and the old one stays/],
    ["ends with an error", "process.exit(69);\n", /does not run, and the old one stays/],
    ["says no version", "process.stdout.write('{}');\n", /did not say its version, and the old one stays/],
  ])("is refused where it %s, and leaves all as it was", (_name, program, told) => {
    const before = read("node.json");
    expect(() => installAgent(directory, { program, software: 2 }, "1.0.0")).toThrow(told);
    expect([read("agent.cjs"), read("node.json")]).toEqual([old, before]);
    expect(readdirSync(directory).toSorted()).toEqual(["actions", "agent.cjs", "done", "node.json", "state"]);
  });

  it.each([
    [{ software: 2 }, "The agent's program is no text."],
    [{ program: old, software: 1.5 }, "The agent's software revision is no whole number."],
    [null, "The agent's program is no text."],
  ])("is refused where it is told as %j", (value, told) => {
    expect(() => installAgent(directory, value, "1.0.0")).toThrow(told);
  });
});

describe("what a unit of the machine reports", () => {
  it.each([
    ["boot", { name: "boot" }],
    ["started:browser", { name: "unit-started", unit: "browser" }],
    [
      "ended:browser:success:exited:0",
      { name: "unit-exited", unit: "browser", result: "success", code: 0, signal: null },
    ],
    [
      "ended:browser:signal:killed:KILL",
      { name: "unit-exited", unit: "browser", result: "signal", code: null, signal: "SIGKILL" },
    ],
    [
      "ended:browser:oom-kill:killed:KILL",
      { name: "unit-out-of-memory", unit: "browser", result: "oom-kill", code: null, signal: "SIGKILL" },
    ],
    ["action:runtime:a-1:done", { name: "action", verb: "recover", action: "a-1", layer: "runtime", outcome: "done" }],
  ])("%s is an event", (words, event) => {
    expect(hookEvent(words)).toEqual(event);
  });

  it.each(["", "boots", "started:../x", "ended", "action:runtime:a b:done", "boot:1"])("%j is none", (words) => {
    expect(hookEvent(words)).toBeUndefined();
  });
});

describe("what systemd says of a unit", () => {
  it("is up with its process, and since when", () => {
    const text =
      "ActiveState=active\nSubState=running\nMainPID=812\nActiveEnterTimestamp=@1790000000\nInactiveEnterTimestamp=\nExecMainCode=0\nExecMainStatus=0\nExecMainExitTimestamp=\n";
    expect(unitIn("browser", text, 3)).toEqual({
      name: "browser",
      state: "up",
      pid: 812,
      since: "2026-09-21T14:13:20.000Z",
      restarts: 3,
      lastExit: null,
    });
  });

  it("is waiting after a kill, with the signal", () => {
    const text =
      "ActiveState=activating\nSubState=auto-restart\nMainPID=0\nActiveEnterTimestamp=@1790000000\nInactiveEnterTimestamp=@1790000005\nExecMainCode=2\nExecMainStatus=9\nExecMainExitTimestamp=@1790000005\n";
    expect(unitIn("browser", text, 0)).toMatchObject({
      state: "waiting",
      pid: null,
      lastExit: { code: null, signal: "SIGKILL", at: "2026-09-21T14:13:25.000Z" },
    });
  });

  it("is stopped where systemd knows no such unit", () => {
    expect(unitIn("browser", "ActiveState=inactive\nSubState=dead\nMainPID=0\n", 0)).toMatchObject({
      state: "stopped",
      pid: null,
      lastExit: null,
    });
  });
});

describe("an action on a machine", () => {
  const done: string[] = [];
  const machine = (boot: string, fail = false): MachineControl => ({
    boot,
    serviceOf,
    now: () => new Date(),
    systemctl(...words) {
      if (fail && words[0] === "restart") throw new Error("Unit not found.");
      done.push(words.join(" "));
    },
  });
  const asked = async (id: string, layer: "runtime" | "workload" | "reboot", waitMs: number) =>
    requestAction(directory, { id, verb: "recover", layer }, { alive: () => true, waitMs });
  const outcome = (id: string): ActionDone | undefined => readJson<ActionDone>(nodePaths(directory).actionDone(id));
  beforeEach(() => {
    done.length = 0;
  });

  it("restarts the runtime's service, or all of the workload's, once for each id", async () => {
    await asked("one", "runtime", 0);
    await asked("two", "workload", 0);
    act(directory, node, machine("b1"));
    expect(done).toEqual([
      "restart gradientlab-browser.service",
      "start --no-block gradientlab-event@action:runtime:one:done.service",
      "restart gradientlab-browser.service gradientlab-helper.service",
      "start --no-block gradientlab-event@action:workload:two:done.service",
    ]);
    expect(readdirSync(join(directory, "actions"))).toEqual([]);
    expect(await asked("one", "runtime", 1000)).toMatchObject({ kind: "done", done: { outcome: "done" } });
    expect(await asked("one", "workload", 1000)).toEqual({ kind: "other" });
    act(directory, node, machine("b1"));
    expect(done).toHaveLength(4);
  });

  it("reboots once, and is done only when the next boot says so", async () => {
    await asked("again", "reboot", 0);
    act(directory, node, machine("b1"));
    expect(done.at(-1)).toBe("reboot --no-block");
    expect(outcome("again")).toBeUndefined();
    await asked("again", "reboot", 0);
    act(directory, node, machine("b1"));
    expect(done.filter((words) => words.startsWith("reboot"))).toHaveLength(1);
    act(directory, node, machine("b2"));
    expect(outcome("again")).toMatchObject({ outcome: "done", layer: "reboot" });
    expect(done.at(-1)).toBe("start --no-block gradientlab-event@action:reboot:again:done.service");
  });

  it("says what failed", async () => {
    await asked("bad", "runtime", 0);
    act(directory, node, machine("b1", true));
    expect(outcome("bad")).toMatchObject({ outcome: "failed", detail: "Unit not found." });
  });

  it("is nothing but fixed words: whoever writes the folder is not root", () => {
    const { actions } = nodePaths(directory);
    const secret = join(directory, "secret");
    writeFileSync(secret, JSON.stringify({ id: "link", verb: "recover", layer: "runtime" }));
    symlinkSync(secret, join(actions, "link.json"));
    const write = (name: string, value: unknown): void => writeFileSync(join(actions, name), JSON.stringify(value));
    write("other.json", { id: "not-other", verb: "recover", layer: "runtime" });
    write("layer.json", { id: "layer", verb: "recover", layer: "ssh.service" });
    write("verb.json", { id: "verb", verb: "stop" });
    write("-x.json", { id: "-x", verb: "recover", layer: "runtime" });
    writeFileSync(join(actions, "null.json"), "null");
    writeFileSync(join(actions, "half.json"), '{"id":');
    writeFileSync(join(actions, "big.json"), " ".repeat(5000));
    mkdirSync(join(actions, "folder.json"));
    act(directory, node, machine("b1"));
    expect(done).toEqual([]);
    expect(readdirSync(actions)).toEqual([]);
    expect(existsSync(secret)).toBe(true);
    expect(readdirSync(join(directory, "done"))).toEqual([]);
  });
});

describe("what is compared from one sample to the next", () => {
  const at = new Date("2026-11-21T00:00:00Z");
  const later = (days: number): Date => new Date(at.getTime() + days * 24 * 3600 * 1000);
  const sight = {
    boot: "b1",
    oomKills: 0,
    hostKeys: { "/etc/ssh/ssh_host_ed25519_key.pub": "a" },
    files: { "/etc/gradientlab/policy.json": "a" },
    listening: ["tcp/22"],
    versions: { agent: "1" },
    pending: [],
  };

  it("tells nothing at first sight, nor of what stays", () => {
    const first = changesOf(undefined, sight, at);
    expect(first.events).toEqual([]);
    expect(changesOf(first.memory, sight, later(1)).events).toEqual([]);
  });

  it("tells what is another", () => {
    const { memory } = changesOf(undefined, sight, at);
    const now = {
      boot: "b1",
      oomKills: 2,
      hostKeys: { "/etc/ssh/ssh_host_ed25519_key.pub": "b" },
      files: { "/etc/gradientlab/firewall.nft": "a" },
      listening: ["tcp/22", "tcp/8080"],
      versions: { agent: "2" },
    };
    expect(changesOf(memory, now, later(1)).events).toEqual([
      { name: "out-of-memory", kills: 2 },
      { name: "host-key-changed", path: "/etc/ssh/ssh_host_ed25519_key.pub" },
      { name: "file-changed", path: "/etc/gradientlab/firewall.nft" },
      { name: "file-changed", path: "/etc/gradientlab/policy.json" },
      { name: "updated", what: "agent", from: "1", to: "2" },
      { name: "listening-port-new", port: "tcp/8080" },
    ]);
  });

  it("counts kills from the beginning of each boot", () => {
    const { memory } = changesOf(undefined, { boot: "b1", oomKills: 5 }, at);
    expect(changesOf(memory, { boot: "b2", oomKills: 1 }, at).events).toEqual([{ name: "out-of-memory", kills: 1 }]);
  });

  it("keeps what it could not look at for the time after", () => {
    const { memory } = changesOf(undefined, sight, at);
    const blind = changesOf(memory, { boot: "b1" }, later(1));
    expect(blind.events).toEqual([]);
    expect(changesOf(blind.memory, { ...sight, listening: ["tcp/22", "tcp/1"] }, later(2)).events).toHaveLength(1);
  });

  it("tells of a security update that waits for more than a week, and again each week until it is installed", () => {
    let { memory } = changesOf(undefined, { boot: "b", pending: ["openssl"] }, at);
    const told = (days: number, pending?: readonly string[]): number => {
      const next = changesOf(memory, { boot: "b", ...(pending === undefined ? {} : { pending }) }, later(days));
      memory = next.memory;
      return next.events.length;
    };
    expect([told(6, ["openssl"]), told(8), told(9, ["openssl"]), told(16, ["openssl"])]).toEqual([0, 1, 0, 1]);
    expect([told(17, []), told(30, ["openssl"])]).toEqual([0, 0]);
  });

  it("reads ports, updates and log-ins off the texts of kernel, package manager and server", () => {
    const head = "  sl  local_address rem_address   st\n";
    expect(
      listeningIn({
        tcp: `${head}   0: 0100007F:2406 00000000:0000 0A 0\n   1: 0100007F:2406 0100007F:9999 01 0\n`,
        tcp6: `${head}   0: 00000000000000000000000000000000:0016 0:0 0A 0\n`,
        udp: `${head}   0: 00000000:0044 00000000:0000 07 0\n   1: 00000000:C350 00000000:0000 07 0\n`,
      }),
    ).toEqual(["tcp/22", "tcp/9222", "udp/68"]);
    expect(
      securityUpdatesIn(
        "Inst openssl [3.0.1] (3.0.2 Debian-Security:12/stable-security [amd64])\nInst vim [1] (2 Debian:12.1/stable [amd64])\nConf openssl\n",
      ),
    ).toEqual(["openssl"]);
    expect(
      loginEvents([
        "Invalid user admin from 192.0.2.7 port 4000",
        "Connection closed by authenticating user root 192.0.2.7 port 4001 [preauth]",
        "User ubuntu from 2001:db8::1 not allowed because not listed in AllowUsers",
        "Accepted publickey for gl-agent from 192.0.2.9 port 1 ssh2",
        "Received request from 192.0.2.9 port 1 to connect to host 10.0.0.1 port 80, but the request was denied.",
      ]),
    ).toEqual([
      { name: "logins-failed", count: 3, addresses: 2, most: { "192.0.2.7": 2, "2001:db8::1": 1 } },
      { name: "forwards-refused", count: 1 },
    ]);
  });
});

describe("the status page", () => {
  const stamp = { boot: "b", at: "2026-11-21T10:00:00.000Z", mono_ms: 1, every_s: 300, kind: "sample" } as const;

  it("shows what the sample says, and calls what is missing missing", () => {
    const page = statusPage(
      node,
      { ...stamp, runtime: { state: "down", reason: "no-browser" }, errors: [{ field: "app", code: "timeout" }] },
      [{ name: "boot" }],
    );
    for (const words of ["home/0", "down: no-browser", "not measured", "app (timeout)", "<li>boot</li>"])
      expect(page).toContain(words);
  });

  it("lets nothing that it shows be markup", () => {
    const page = statusPage({ ...node, workload: "<script>alert(1)</script>" }, stamp, [{ name: "<img src=x>" }]);
    expect(page).not.toMatch(/<script>|<img/);
  });
});
