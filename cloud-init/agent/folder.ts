import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Probe, ProcessUnit } from "../workloads/descriptor.ts";

/** What the agent needs of `node.json`; the file may hold more. */
export interface NodeFile {
  readonly schema: 1;
  readonly key: string;
  /** Who keeps the units running: the machine's own systemd, or without it a supervisor of processes. */
  readonly supervision?: "systemd";
  readonly machineId: string;
  readonly everySeconds: number | null;
  readonly workload: string;
  readonly revision: { readonly machine: number; readonly software: number };
  readonly units: readonly ProcessUnit[];
  readonly network: {
    readonly name: string;
    readonly origin: string;
    /** A STUN server of the network's, as `<host>:<port>`, where the network needs UDP. */
    readonly stun?: string;
    readonly extension: { readonly id: string; readonly version: string } | null;
    readonly settings: Readonly<Record<string, unknown>>;
  } | null;
  readonly probes: { readonly runtime: Probe; readonly app: Probe | null };
}

/** The state of a unit: `starting` until it has run for a second, `waiting` for its next start after an exit. */
export type UnitState = "starting" | "up" | "waiting" | "stopped";

/** One unit as its supervisor last saw it; `pid` is the number in the node's own process tree. */
export interface UnitStatus {
  readonly name: string;
  readonly state: UnitState;
  readonly pid: number | null;
  readonly since: string;
  /** Unwanted ends and asked-for restarts since the journal began. */
  readonly restarts: number;
  readonly lastExit: { readonly code: number | null; readonly signal: string | null; readonly at: string } | null;
}

/** `state/units.json`: what the supervisor says of its units. */
export interface UnitsFile {
  readonly schema: 1;
  readonly supervisor: { readonly pid: number; readonly startedAt: string };
  readonly phase: "starting" | "up" | "stopping" | "stopped";
  readonly units: readonly UnitStatus[];
}

/** A wish for the supervisor, as a file `actions/<id>.json`. */
export interface Action {
  readonly id: string;
  readonly verb: "sample" | "recover" | "stop";
  readonly layer?: "runtime" | "workload" | "reboot";
}

/** What became of an action, as a file `done/<id>.done.json`: it is never done twice. */
export interface ActionDone extends Action {
  readonly outcome: "done" | "failed" | "refused";
  readonly at: string;
  readonly detail?: string;
}

/** Where the parts of a node's folder are. */
export function nodePaths(directory: string) {
  const at = (...parts: string[]): string => join(directory, ...parts);
  return {
    node: at("node.json"),
    launch: at("launch.json"),
    lock: at("lock"),
    supervisor: at("supervisor.json"),
    journal: at("journal"),
    units: at("state", "units.json"),
    app: at("state", "app.json"),
    actions: at("actions"),
    /** On a machine this folder is root's, who writes what was done. */
    done: at("done"),
    /** What is known of the node's network, on a machine that was told after it began. */
    network: at("network.json"),
    /** A sum of what the machine was told of its network last, root's. */
    told: at("network.sum"),
    changes: at("state", "changes.json"),
    restarts: at("state", "restarts.json"),
    status: at("status", "index.html"),
    logs: at("logs"),
    profile: at("profile"),
    log: (unit: string): string => at("logs", `${unit}.log`),
    action: (id: string): string => at("actions", `${id}.json`),
    actionDone: (id: string): string => at("done", `${id}.done.json`),
  } as const;
}

/** Returns the JSON value in `file`, or `undefined` where there is no such file. Throws where it is not JSON. */
export function readJson<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes `value` to `file` so that a reader sees the old text or the new, never half of one. */
export function writeJson(file: string, value: unknown): void {
  const part = `${file}.${process.pid}.part`;
  try {
    writeFileSync(part, `${JSON.stringify(value)}\n`, { mode: 0o600 });
    renameSync(part, file);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
}

/** Returns what `writeMemory` kept, or `undefined` where it kept nothing yet, or was cut short on a full disk. */
export function readMemory<T>(file: string): T | undefined {
  try {
    return readJson<T>(file);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * Keeps for the next sample what this one saw. On a full disk it goes where the text before lies, in the blocks that this
 * has; where it does not fit there, that text stays: a change is then told once more.
 */
export function writeMemory(file: string, value: unknown): void {
  try {
    writeJson(file, value);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    // An empty file, or none, has no block; units of stat(2) are 512 bytes. Blanks cover what is left of a longer text.
    const { blocks, size } = statSync(file, { throwIfNoEntry: false }) ?? { blocks: 0, size: 0 };
    const text = JSON.stringify(value).padEnd(size);
    if (Buffer.byteLength(text) <= blocks * 512) writeFileSync(file, text, { flag: "r+" });
  }
}

/** Writes a file that is on disk before it has its name: a power cut leaves the old one or the new one, and none empty. */
export function writeSynced(file: string, content: string | Uint8Array, mode: number): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
  const fd = openSync(`${file}.part`, "w", mode);
  try {
    writeFileSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${file}.part`, file);
}

/** Makes the folders that a node keeps its own things in, for its owner only. */
export function makeNodeFolders(directory: string): void {
  const paths = nodePaths(directory);
  for (const folder of [paths.journal, join(directory, "state"), paths.actions, paths.done, paths.logs])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
}
