import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { BadInput, ExplainedError, problemsOf } from "../infra/problem.ts";
import { browserSources } from "./browser-sources.ts";
import { CloudConfig } from "./cloud-config.ts";
import { firewallRules } from "./machine/firewall.ts";
import { accounts, places, serviceOf } from "./machine/layout.ts";
import { browserInstall, statusPage, zramSwap } from "./machine/programs.ts";
import { type AccessKeys, authorizedKeys, sshdConfig } from "./machine/ssh.ts";
import { browserInstallUnit, machineUnits, workloadUnits } from "./machine/units.ts";
import type { WorkloadDescriptor } from "./workloads/descriptor.ts";
import { browserPolicy } from "./workloads/sentry/policy.ts";

export type MachineOs = "ubuntu-24.04" | "debian-12";
export type MachineArch = "x64" | "arm64";

/** What a machine is to become. `agent` is the agent's program, bundled for Node.js 18. */
export interface MachineSpec {
  readonly key: string;
  readonly os: MachineOs;
  readonly arch: MachineArch;
  readonly diskGib: number;
  readonly revision: { readonly machine: number; readonly software: number };
  readonly everySeconds: number;
  readonly workload: WorkloadDescriptor & { readonly machine: NonNullable<WorkloadDescriptor["machine"]> };
  readonly keys: AccessKeys;
  readonly agent: string;
}

/** How a provider takes user data: as it stands, or as base64 of its gzip, which cloud-init unpacks by itself. */
export type UserDataEncoding = "plain" | "gzip-base64";

/**
 * Returns the one document that a machine is made from, checked. It holds no secret and nothing that depends on when it
 * was rendered: what a network must not tell everyone arrives over SSH once the machine runs.
 * Throws `BadInput` where cloud-init would not take it, `secret-in-document` where it holds what looks like a secret.
 */
export function nodeDocument(spec: MachineSpec): CloudConfig {
  const units = unitsOf(spec);
  const document = {
    hostname: `gl-${spec.key.replace("/", "-")}`,
    timezone: "Etc/UTC",
    ssh_pwauth: false,
    ssh_genkeytypes: ["ed25519"],
    disable_root: true,
    users: users(),
    write_files: [...files(spec), ...units.map(({ name, text }) => file(`${places.units}/${name}`, text))].toSorted(
      (a, b) => (a.path < b.path ? -1 : 1),
    ),
    swap: swapFile(spec.diskGib),
    package_update: true,
    packages: packagesOf(spec.os),
    runcmd: commands(units.filter(({ enabled }) => enabled).map(({ name }) => name)),
  };
  return checkedDocument(document);
}

/** Returns the document as checked. Throws as `nodeDocument` does. */
export function checkedDocument(document: unknown): CloudConfig {
  const parsed = CloudConfig.safeParse(document);
  if (!parsed.success) throw new BadInput("The boot document", problemsOf(parsed.error, document, ""));
  const paths = parsed.data.write_files.map(({ path }) => path);
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined)
    throw new ExplainedError("bad-document", `The boot document writes ${twice} twice.`, "Write it once.");
  for (const { path, content } of parsed.data.write_files) {
    const found = secretIn(content);
    if (found !== undefined)
      throw new ExplainedError(
        "secret-in-document",
        `The boot document's file ${path} holds ${found}, and user data can be read by whoever reads the stack's state.`,
        "Take it out; secrets are brought over SSH once the machine runs.",
      );
  }
  return parsed.data;
}

/** Returns the document as user data: YAML, because JSON is. */
export function asUserData(document: CloudConfig): string {
  return `#cloud-config\n${JSON.stringify(document, null, 1)}\n`;
}

/**
 * Returns user data as a provider takes it. A gzip file is a series of members (RFC 1952, section 2.2), and most of a
 * document is one line that all nodes share, the agent: it is a member of its own, which is packed once.
 */
export function encodeUserData(text: string, encoding: UserDataEncoding): string {
  if (encoding === "plain") return text;
  const lines = text.split("\n");
  const length = lines.reduce((most, line) => Math.max(most, line.length), 0);
  const longest = lines.findIndex((line) => line.length === length);
  const [before, after] = [lines.slice(0, longest), lines.slice(longest + 1)].map((some) => some.join("\n"));
  return Buffer.concat([packed(`${before}\n`), packedOnce(lines[longest] ?? ""), packed(`\n${after}`)]).toString(
    "base64",
  );
}

const packedLines = new Map<string, Buffer>();

function packed(text: string): Buffer {
  return gzipSync(text, { level: 9 });
}

function packedOnce(line: string): Buffer {
  const known = packedLines.get(line);
  if (known !== undefined) return known;
  const made = packed(line);
  packedLines.set(line, made);
  return made;
}

/** Returns what in `text` looks like a secret, named without quoting it, or `undefined`. */
function secretIn(text: string): string | undefined {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return "a private key";
  if (/\beyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}/.test(text)) return "a signed token";
  if (/https?:\/\/[^\s/@:"'`]+:[^\s/@"'`]+@/.test(text)) return "an address with a password";
  return undefined;
}

/** What the system's own log may take of a small disk. */
export const journalLimits =
  "[Journal]\nStorage=persistent\nSystemMaxUse=64M\nSystemKeepFree=128M\nRuntimeMaxUse=16M\nMaxRetentionSec=14day\n";

/** Returns a file of a document, for all to read unless `permissions` says otherwise. */
export function file(path: string, content: string, permissions = "0644") {
  return { path, permissions, content };
}

function users(): CloudConfig["users"] {
  const base = { lock_passwd: true, shell: "/bin/sh" } as const;
  const service = { ...base, system: true, no_create_home: true } as const;
  return [
    {
      ...service,
      name: accounts.browser,
      gecos: "GradientLab workload",
      shell: "/usr/sbin/nologin",
      homedir: `${places.node}/profile`,
    },
    { ...service, name: accounts.agent, gecos: "GradientLab agent", homedir: places.node, groups: ["systemd-journal"] },
    { ...service, name: accounts.enrol, gecos: "GradientLab enrolment", homedir: "/nonexistent" },
    {
      ...base,
      name: accounts.operator,
      gecos: "GradientLab operator",
      shell: "/bin/bash",
      sudo: "ALL=(ALL) NOPASSWD:ALL",
    },
  ];
}

function unitsOf({ everySeconds, workload }: MachineSpec) {
  const browser = workload.machine.needs.includes("browser");
  return [
    ...machineUnits(everySeconds),
    ...(browser ? [browserInstallUnit()] : []),
    ...workload.machine.units.flatMap((unit) => workloadUnits(unit, browser)),
  ];
}

function files(spec: MachineSpec): CloudConfig["write_files"] {
  const { os, arch, key, workload, keys } = spec;
  const services = workload.machine.units.map(({ name }) => serviceOf(name));
  const browser = workload.machine.needs.includes("browser");
  return [
    file(places.agent, withNewline(spec.agent), "0755"),
    file(`${places.node}/node.json`, `${JSON.stringify(nodeFile(spec))}\n`),
    file("/etc/gradientlab/firewall.nft", firewallRules()),
    file("/etc/ssh/sshd_config.d/00-gradientlab.conf", sshdConfig()),
    ...Object.entries(authorizedKeys(keys)).map(([account, text]) =>
      file(`${places.authorizedKeys}/${account}`, withNewline(text)),
    ),
    file("/etc/tmpfiles.d/gradientlab.conf", folders()),
    file("/etc/systemd/journald.conf.d/gradientlab.conf", journalLimits),
    file(
      "/etc/systemd/system.conf.d/gradientlab.conf",
      "[Manager]\nRuntimeWatchdogSec=60s\nDefaultTimeoutStopSec=45s\n",
    ),
    // A kernel that has given up starts again by itself.
    file("/etc/sysctl.d/90-gradientlab.conf", "kernel.panic = 10\nvm.swappiness = 80\n"),
    file("/etc/apt/apt.conf.d/52gradientlab", aptSettings(key)),
    file(`${places.programs}/zram-swap`, zramSwap(), "0755"),
    file(`${places.programs}/status-page`, statusPage(), "0755"),
    ...(browser
      ? [
          file(
            `${places.programs}/browser-install`,
            browserInstall(browserSources[os][arch], services, places.policy),
            "0755",
          ),
          file(places.policy, `${JSON.stringify(browserPolicy(null, places.extension))}\n`),
        ]
      : []),
  ];
}

function withNewline(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}

/** What the agent knows of its node. The machine's id is the provider's and known on the machine only. */
function nodeFile({ key, everySeconds, workload, revision }: MachineSpec) {
  const { name, machine, probes, heartbeatStaleSeconds } = workload;
  return {
    schema: 1,
    key,
    supervision: "systemd",
    everySeconds,
    workload: name,
    revision,
    units: machine.units.map(({ name: unit, exec, stopSeconds }) => ({
      name: unit,
      account: "unprivileged",
      exec,
      stopSeconds,
    })),
    network: null,
    probes,
    ...(heartbeatStaleSeconds === undefined ? {} : { heartbeatStaleSeconds }),
  };
}

/** The node's folders. What root acts on lies in folders of root's, so that no account can put a link in its way. */
function folders(): string {
  const folder = (path: string, mode: string, owner: string): string => `d ${path} ${mode} ${owner} ${owner} -\n`;
  return [
    folder("/var/lib/gradientlab", "0755", "root"),
    folder(places.node, "0755", "root"),
    folder(places.extension, "0755", "root"),
    folder(`${places.node}/done`, "0755", "root"),
    ...["journal", "state", "actions"].map((name) => folder(`${places.node}/${name}`, "0700", accounts.agent)),
    folder(`${places.node}/status`, "0755", accounts.agent),
    folder(`${places.node}/profile`, "0700", accounts.browser),
  ].join("");
}

/** Security updates by themselves; a restart that one needs at a time of the night that is the node's own. */
function aptSettings(key: string): string {
  const minute = createHash("sha256").update(key).digest().readUInt16BE(0) % 240;
  const at = `0${2 + Math.floor(minute / 60)}:${String(minute % 60).padStart(2, "0")}`;
  return `APT::Install-Recommends "false";
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
Unattended-Upgrade::Origins-Pattern { "origin=Google LLC,suite=stable"; };
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
Unattended-Upgrade::Automatic-Reboot "true";
Unattended-Upgrade::Automatic-Reboot-Time "${at}";
`;
}

function swapFile(diskGib: number): CloudConfig["swap"] {
  const bytes = (diskGib >= 8 ? 1024 : 512) * 1024 * 1024;
  return { filename: "/swapfile", size: bytes, maxsize: bytes };
}

const packages = [
  "ca-certificates",
  "curl",
  "gpg",
  "kmod",
  "nftables",
  "nodejs",
  "openssh-server",
  "sudo",
  "unattended-upgrades",
  "util-linux",
];

/** Ubuntu's images have a clock daemon, on some clouds one that is set up for the cloud's own clock. */
function packagesOf(os: MachineOs): string[] {
  return [...packages, ...(os === "debian-12" ? ["systemd-timesyncd"] : [])].toSorted();
}

function commands(enabled: readonly string[]): string[][] {
  return [
    ["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/gradientlab.conf"],
    ["sysctl", "--system"],
    // It also has systemd read the new units.
    ["systemctl", "enable", ...enabled],
    ["systemctl", "try-restart", "systemd-journald.service"],
    ["systemctl", "try-restart", "ssh.service"],
    ["systemctl", "start", "gradientlab-firewall.service"],
    ["systemctl", "start", "--no-block", ...enabled],
  ];
}
