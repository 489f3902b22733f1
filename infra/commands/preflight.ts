import { execFile } from "node:child_process";
import { access, constants, readFile, statfs } from "node:fs/promises";
import { freemem } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { BadInput, type Problem } from "../problem.ts";

const run = promisify(execFile);

/** What a machine was found to have. `undefined` means that it is not there. Sizes are bytes. */
export interface Machine {
  readonly node: string;
  readonly npm: string | undefined;
  /** Looked for only where it is needed. */
  readonly go: string | undefined;
  /** True where the engine is neither cached nor to be had by download, so that only Go can make it. */
  readonly goNeeded: boolean;
  readonly diskFreeBytes: number;
  readonly memoryAvailableBytes: number;
  readonly tools: Readonly<Record<string, boolean>>;
  /** From /etc/os-release: `debian`, `ubuntu`, or another system's id. */
  readonly os: string;
  readonly root: boolean;
}

/** What a start needs at the least. Building the engine takes 3 GB of disk for a while, a node 0.4 GB of memory. */
export const needs = {
  node: [20, 0],
  npm: [10, 0],
  go: [1, 25],
  diskBytes: 2e9,
  diskBytesWithBuild: 5e9,
  memoryBytes: 1e9,
} as const;

/** Programs of the base system (package util-linux and mount) that hold a node's processes together. */
const tools = ["flock", "unshare", "setpriv", "mount"] as const;

/** Returns every lack of `machine`, each with the command that mends it on this system; empty when all is well. */
export function judge(machine: Machine): Problem[] {
  const install = (packages: string): string => {
    const sudo = machine.root ? "" : "sudo ";
    return machine.os === "debian" || machine.os === "ubuntu"
      ? `Run: ${sudo}apt-get install -y ${packages}`
      : `Install the package that holds ${packages} on this system.`;
  };
  const problems: Problem[] = [];
  const lack = (path: string, value: string | undefined, message: string, fix: string): void => {
    problems.push({ path, value, message, fix });
  };
  if (older(machine.node, needs.node))
    lack("node", machine.node, `Node.js is ${machine.node}, and 20 or newer is needed.`, install("nodejs"));
  if (machine.npm === undefined || older(machine.npm, needs.npm))
    lack(
      "npm",
      machine.npm,
      `npm is ${machine.npm ?? "not on PATH"}, and 10 or newer is needed.`,
      "Run: npm install -g npm@11",
    );
  if (machine.goNeeded && (machine.go === undefined || older(machine.go, needs.go)))
    lack(
      "go",
      machine.go,
      `The Pulumi command line tool cannot be downloaded here, and Go, which could build it, is ${machine.go ?? "not on PATH"} (1.25 or newer is needed).`,
      "Connect to the internet, or install Go 1.25 or newer from https://go.dev/dl and put its bin folder on PATH.",
    );
  const disk = machine.goNeeded ? needs.diskBytesWithBuild : needs.diskBytes;
  if (machine.diskFreeBytes < disk)
    lack(
      "disk",
      gigabytes(machine.diskFreeBytes),
      `The disk has ${gigabytes(machine.diskFreeBytes)} free, and ${gigabytes(disk)} are needed.`,
      "Free some space.",
    );
  if (machine.memoryAvailableBytes < needs.memoryBytes)
    lack(
      "memory",
      gigabytes(machine.memoryAvailableBytes),
      `${gigabytes(machine.memoryAvailableBytes)} of memory are available, and ${gigabytes(needs.memoryBytes)} are needed.`,
      "Close other programs, or lower the count of nodes in the stack's config.",
    );
  const missing = Object.entries(machine.tools).flatMap(([tool, there]) => (there ? [] : [tool]));
  if (missing.length > 0)
    lack(
      "tools",
      missing.join(" "),
      `The base programs ${missing.join(", ")} are not on PATH.`,
      install("util-linux mount"),
    );
  return problems;
}

/** Returns what this machine has. `goNeeded` is asked only where the answer matters. */
export async function inspect(folder: string, goNeeded: () => Promise<boolean>): Promise<Machine> {
  const needed = goNeeded();
  const [npm, go, disk, memory, os, goIsNeeded, found] = await Promise.all([
    versionOf("npm", ["--version"], /^(\d+\.\d+\.\d+)/m),
    // Not for nothing: each run of Go counts itself in the user's home folder.
    needed.then((yes) => (yes ? versionOf("go", ["version"], /go(\d+\.\d+(?:\.\d+)?)/) : undefined)),
    statfs(folder),
    memoryAvailable(),
    osId(),
    needed,
    Promise.all(tools.map(async (tool) => [tool, await onPath(tool)] as const)),
  ]);
  return {
    node: process.versions.node,
    npm,
    go,
    goNeeded: goIsNeeded,
    diskFreeBytes: disk.bavail * disk.bsize,
    memoryAvailableBytes: memory,
    tools: Object.fromEntries(found),
    os,
    root: process.getuid?.() === 0,
  };
}

/**
 * Checks this machine and returns one line that says what was found.
 * Throws `BadInput` naming all that is missing at once, each with the command that installs it here.
 */
export async function preflight(folder: string, goNeeded: () => Promise<boolean>): Promise<string> {
  const machine = await inspect(folder, goNeeded);
  const problems = judge(machine);
  if (problems.length > 0) throw new BadInput("This machine", problems);
  const go = machine.goNeeded ? `, Go ${machine.go}` : "";
  return `Node ${machine.node}, npm ${machine.npm}${go}, ${gigabytes(machine.diskFreeBytes)} of disk and ${gigabytes(machine.memoryAvailableBytes)} of memory free`;
}

function older(version: string, least: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < least[0] || (major === least[0] && minor < least[1]);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

async function versionOf(program: string, args: string[], pattern: RegExp): Promise<string | undefined> {
  if (!(await onPath(program))) return undefined;
  const { stdout } = await run(program, args, { timeout: 30_000 });
  return pattern.exec(stdout)?.[1];
}

async function onPath(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? "").split(delimiter).concat("/usr/sbin", "/sbin");
  const hits = await Promise.allSettled(folders.map((folder) => access(join(folder, program), constants.X_OK)));
  return hits.some((hit) => hit.status === "fulfilled");
}

async function memoryAvailable(): Promise<number> {
  const text = await readFile("/proc/meminfo", "utf8");
  const kib = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  return kib === undefined ? freemem() : Number(kib) * 1024;
}

async function osId(): Promise<string> {
  const text = await readFile("/etc/os-release", "utf8");
  return /^ID="?([a-z]+)"?$/m.exec(text)?.[1] ?? "linux";
}
