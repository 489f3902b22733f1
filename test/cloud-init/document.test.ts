import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CloudConfig } from "../../cloud-init/cloud-config.ts";
import {
  asUserData,
  checkedDocument,
  encodeUserData,
  type MachineSpec,
  nodeDocument,
} from "../../cloud-init/document.ts";
import { firewallRules } from "../../cloud-init/machine/firewall.ts";
import { asScript } from "../../cloud-init/script.ts";
import { build } from "../../infra/build.ts";
import { agentFile } from "../../infra/home.ts";
import { machineSpec } from "./machine-spec.ts";

const file = ({ write_files }: CloudConfig, path: string): string => {
  const found = write_files.find((entry) => entry.path === path);
  if (found === undefined) throw new Error(`the document writes no ${path}`);
  return found.content;
};

/** The document with its files by path, so that a difference is named by the file that has it. */
const byPath = ({ write_files, ...rest }: CloudConfig): Record<string, string> =>
  Object.fromEntries([
    ...Object.entries(rest).map(([name, value]) => [name, JSON.stringify(value)]),
    ...write_files.map(({ path, permissions, content }) => [path, `${permissions} ${content}`]),
  ]);
const differences = (a: CloudConfig, b: CloudConfig): string[] => {
  const [left, right] = [byPath(a), byPath(b)];
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].filter((name) => left[name] !== right[name]).toSorted();
};

describe("a boot document", () => {
  it("is the same for every operating system and architecture but for the packages and the browser's sources", () => {
    const base = nodeDocument(machineSpec);
    const seen = new Set<string>();
    for (const os of ["ubuntu-24.04", "debian-12"] as const)
      for (const arch of ["x64", "arm64"] as const)
        for (const path of differences(base, nodeDocument({ ...machineSpec, os, arch }))) seen.add(path);
    expect([...seen].toSorted()).toEqual(["/usr/local/lib/gradientlab/browser-install", "packages"]);
  });

  it("differs between two nodes of a group in the name, and in the minute of the night at which updates restart it", () => {
    const other = nodeDocument({ ...machineSpec, key: "home/1" });
    expect(differences(nodeDocument(machineSpec), other)).toEqual([
      "/etc/apt/apt.conf.d/52gradientlab",
      "/var/lib/gradientlab/node/node.json",
      "hostname",
    ]);
  });

  it("is the same whenever it is rendered, and survives encoding", () => {
    const text = asUserData(nodeDocument(machineSpec));
    expect(asUserData(nodeDocument(machineSpec))).toBe(text);
    expect(text.startsWith("#cloud-config\n{")).toBe(true);
    expect(encodeUserData(text, "plain")).toBe(text);
    const packed = encodeUserData(text, "gzip-base64");
    expect(gunzipSync(Buffer.from(packed, "base64")).toString("utf8")).toBe(text);
  });

  it("fits into the smallest user data of a cloud, with the agent as it is built and a dozen keys", async () => {
    await build();
    const agent = readFileSync(agentFile(join(import.meta.dirname, "..", "..")), "utf8");
    const keys = Array.from({ length: 6 }, (_, n) => `ssh-ed25519 ${randomBytes(51).toString("base64")} someone-${n}`);
    const text = asUserData(nodeDocument({ ...machineSpec, agent, keys: { operator: keys, collector: keys } }));
    expect(encodeUserData(text, "gzip-base64").length).toBeLessThan(32_000);
  });

  it("leaves a machine of 1 GB room where all that a workload may take is of the kind that nothing compresses", () => {
    // What such a machine has for programs, and what the system and we took beside a browser where it was measured.
    const [usableMib, restMib] = [950, 260];
    const { units } = machineSpec.workload.machine;
    expect(units.length).toBeGreaterThan(0);
    // Compressed swap is memory, and none of it is gained then.
    const takenMib = units.reduce(
      (sum, { memoryMaxPercent, swapMaxMib }) => sum + (memoryMaxPercent / 100) * usableMib + swapMaxMib,
      0,
    );
    expect(takenMib).toBeLessThanOrEqual(usableMib - restMib);
  });

  it("lets each key do one thing", () => {
    const document = nodeDocument(machineSpec);
    const keys = (account: string): string => file(document, `/etc/ssh/gradientlab/${account}`);
    expect(keys("gl-operator")).toBe(`${machineSpec.keys.operator[0]}\n`);
    expect(keys("gl-agent")).toMatch(/^restrict,command="[^"]*agent\.cjs ssh" ssh-ed25519 \S+ collector\n$/);
    expect(keys("gl-enrol")).toMatch(
      /^restrict,port-forwarding,permitopen="127\.0\.0\.1:9222",command="\/usr\/sbin\/nologin" ssh-ed25519 /,
    );
    expect(document.users.filter(({ sudo }) => sudo !== undefined).map(({ name }) => name)).toEqual(["gl-operator"]);
    expect(file(document, "/etc/ssh/sshd_config.d/00-gradientlab.conf")).toContain(
      "AllowUsers gl-operator gl-agent gl-enrol\n",
    );
  });

  it("never takes a browser from a snap, and names the key that each repository must have", () => {
    const program = file(
      nodeDocument({ ...machineSpec, os: "ubuntu-24.04" }),
      "/usr/local/lib/gradientlab/browser-install",
    );
    const tries = program.split("\n").filter((line) => line.startsWith("  try "));
    expect(tries).toHaveLength(2);
    for (const line of tries) expect(line).toMatch(/ '[0-9A-F]{40}' && return 0$/);
    expect(program).not.toMatch(/snap install|snapd/);
  });

  it("is a script that a shell can read, with every file and command in it", () => {
    const document = nodeDocument(machineSpec);
    const script = asScript(document);
    expect(spawnSync("sh", ["-n"], { input: script, encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
    for (const { path, content } of document.write_files) {
      expect(script).toContain(`put ${path} `);
      expect(script).toContain(content);
    }
    const programs = document.write_files.filter(({ content }) => content.startsWith("#!/bin/sh"));
    expect(programs.length).toBeGreaterThan(2);
    for (const { content } of programs)
      expect(spawnSync("sh", ["-n"], { input: content, encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
  });
});

describe("what the document writes is read without a complaint", () => {
  const document = nodeDocument(machineSpec);
  const there = (program: string): boolean => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "gl-document-"));
    const write = (path: string, content: string, mode = 0o755): void => {
      mkdirSync(join(root, dirname(path)), { recursive: true });
      writeFileSync(join(root, path), content, { mode });
    };
    for (const { path, content, permissions } of document.write_files)
      write(path, content, Number.parseInt(permissions, 8));
    const targets = [
      "sysinit",
      "basic",
      "shutdown",
      "multi-user",
      "timers",
      "sockets",
      "paths",
      "swap",
      "network-online",
    ];
    for (const name of [...targets, "network-pre", "local-fs", "nss-user-lookup"])
      write(`/usr/lib/systemd/system/${name}.target`, `[Unit]\nDescription=${name}\n`, 0o644);
    write("/usr/lib/systemd/system/system.slice", "[Unit]\nDescription=system\n", 0o644);
    // Programs of the distribution that the units start: only that they are there is asked.
    for (const path of ["/usr/bin/node", "/usr/sbin/nft", "/bin/rm", "/bin/sh", "/bin/systemctl"])
      write(path, "#!/bin/sh\n");
    write("/usr/local/lib/gradientlab/browser", "#!/bin/sh\n");
  });
  afterAll(() => rmSync(root, { recursive: true }));

  it("by systemd", ({ skip }) => {
    skip(!there("systemd-analyze"), "this machine has no systemd-analyze");
    const units = document.write_files
      .map(({ path }) => path)
      .filter((path) => path.startsWith("/etc/systemd/system/"));
    expect(units.length).toBeGreaterThan(10);
    const words = ["verify", "--man=no", `--root=${root}`, ...units.map((path) => join(root, path))];
    const { stdout, stderr } = spawnSync("systemd-analyze", words, { encoding: "utf8" });
    expect(`${stdout}${stderr}`.split("\n").filter((line) => line.includes("gradientlab-"))).toEqual([]);
  });

  it("by the SSH server", ({ skip }) => {
    skip(!(there("sshd") && there("ssh-keygen")), "this machine has no SSH server");
    const key = join(root, "host-key");
    spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
    const config = join(root, "sshd_config");
    const text = file(document, "/etc/ssh/sshd_config.d/00-gradientlab.conf");
    writeFileSync(config, text.replace("/etc/ssh/ssh_host_ed25519_key", key));
    const found = spawnSync("sh", ["-c", "command -v sshd"], { encoding: "utf8" }).stdout.trim();
    const { stderr } = spawnSync(found, ["-t", "-f", config], { encoding: "utf8" });
    // The server's own folder may be missing on a machine that does not run one.
    expect(stderr.replace(/^Missing privilege separation directory[^\n]*\n/, "")).toBe("");
  });

  it("by the firewall", ({ skip }) => {
    skip(!there("nft"), "this machine has no nft");
    // The accounts of a machine are not here: any number stands for them.
    const rules = firewallRules().replaceAll(/"gl-(\w+)"/g, (_all, name: string) => String(61_000 + name.length));
    const { status, stderr } = spawnSync("nft", ["--check", "--file", "-"], { input: rules, encoding: "utf8" });
    // Only root may ask the kernel.
    expect(stderr.includes("Operation not permitted") || status === 0).toBe(true);
  });
});

describe("a broken boot document is refused before any machine sees it", () => {
  const sound = nodeDocument(machineSpec);
  const broken: readonly (readonly [name: string, change: object, says: string])[] = [
    ["an unknown key", { runcmds: [] }, "runcmds is not a known field"],
    [
      "a mode that YAML would read as a number",
      { write_files: [{ path: "/a", permissions: "644", content: "a\n" }] },
      "must be an octal mode",
    ],
    [
      "a text that YAML cannot hold",
      { write_files: [{ path: "/a", permissions: "0644", content: "\u0007\n" }] },
      "must hold text only",
    ],
    [
      "a file without its last newline",
      { write_files: [{ path: "/a", permissions: "0644", content: "a" }] },
      "must end with a newline",
    ],
    ["a wrong type", { package_update: "yes" }, 'package_update is "yes"'],
    ["no command", { runcmd: [] }, "runcmd"],
    ["the same file twice", { write_files: [...sound.write_files, sound.write_files[0]] }, "twice"],
  ];
  it.each(broken)("%s", (_name, change, says) => {
    expect(() => checkedDocument({ ...sound, ...change })).toThrow(says);
  });

  it.each([
    ["a private key", "-----BEGIN OPENSSH PRIVATE KEY-----\n"],
    ["a signed token", `eyJ${"a".repeat(30)}.${"b".repeat(30)}\n`],
    ["an address with a password", "https://me:hunter2@example.org/\n"],
  ])("%s in it, without quoting it", (name, secret) => {
    const spec: MachineSpec = { ...machineSpec, agent: secret };
    expect(() => nodeDocument(spec)).toThrow(name);
    expect(() => nodeDocument(spec)).not.toThrow(secret.trim());
  });
});
