import { readFileSync } from "node:fs";
import { serviceOf } from "../machine/layout.ts";
import { measureApp } from "./app.ts";
import { type ChangesMemory, changesOf } from "./changes.ts";
import { type NodeFile, nodePaths, readMemory, type UnitStatus, writeMemory } from "./folder.ts";
import type { LineDraft, Stamp } from "./journal.ts";
import type { NetMeasures, NodeEvent, RuntimeMeasures } from "./line.ts";
import { measureMachine } from "./machine.ts";
import { type Measures, newMeasures } from "./measure.ts";
import { measureNetwork, measureUdp } from "./network.ts";
import { processesOf, proportionalSetSize } from "./processes.ts";
import { lookAtMachine } from "./sight.ts";
import { lacksBrowser, unitsOf } from "./units.ts";

/** A sample to append, and the events that it tells of, to be appended behind it. */
export interface Sample {
  readonly draft: LineDraft;
  readonly events: readonly NodeEvent[];
  /** Whether a runtime that runs should be restarted: it has not answered for long, or only waits for memory. */
  readonly stuck: boolean;
  /** Keeps what the next sample needs to know; to be called once the lines are written. */
  readonly remember: () => void;
}

/** Returns the journal's clock readings for a line written now: boot id, UTC instant, milliseconds since boot. */
export function stampNow(everySeconds: number | null): Stamp {
  return {
    boot: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    at: new Date().toISOString(),
    mono_ms: Math.round(Number(readFileSync("/proc/uptime", "utf8").split(" ", 1)[0]) * 1000),
    every_s: everySeconds ?? 0,
  };
}

/** A running browser that did not answer in so many samples one after the other is restarted. */
const deafAfter = 3;
/**
 * So much of five minutes spent waiting for memory is no work any more. At its limit a program that leaks is not ended at
 * once: while the kernel finds pages of its files to drop and to read again, it does only that, for many minutes where it was
 * tried. One that works waits for a few hundredths.
 */
const stalledPercent = 60;
/** Before, a slow machine may still be starting it; to restart it then would never let it come up. */
const startingMs = 10 * 60_000;

/**
 * Returns whether a runtime that runs has been silent for so long at `at` (RFC 3339) that it should be restarted; `silent`
 * counts the samples in which it did not answer, one after the other.
 */
export function isDeaf({ state, since }: RuntimeMeasures, silent: number, at: string): boolean {
  if (state !== "up" || since === undefined || silent < deafAfter) return false;
  return Date.parse(at) - Date.parse(since) >= startingMs;
}

/** Returns the event that tells of a runtime that only waits for memory, or `undefined` where it does not. */
export function stallEvent({ state, memory_stall_percent: percent = 0 }: RuntimeMeasures): NodeEvent | undefined {
  return state === "up" && percent >= stalledPercent ? { name: "memory-stalled", percent } : undefined;
}

/** Returns `some avg300` of the text of a `memory.pressure` file, in hundredths of the time (Linux's PSI). */
export function memoryStallIn(text: string): number | undefined {
  const found = /^some .*\bavg300=(\d+\.\d+)/m.exec(text);
  return found === null ? undefined : Number(found[1]);
}

/**
 * Measures every layer of the node once, and on a machine compares it with the sample before. What could not be measured
 * is left out and stands in `errors`. `version` is the agent's own.
 */
export async function takeSample(directory: string, node: NodeFile, version: string): Promise<Sample> {
  const paths = nodePaths(directory);
  const measures = newMeasures();
  const units = (await measures.attempt("runtime.units", () => unitsOf(directory, node))) ?? [];
  const appProbe = node.probes.app;
  const stamp = stampNow(node.everySeconds);
  const [machine, runtime, app, net] = await Promise.all([
    measureMachine(directory, measures),
    measureRuntime(node, units, measures),
    appProbe === null
      ? undefined
      : measures.attempt("app", () => measureApp(directory, node, appProbe, units, measures, new Date())),
    node.network === null ? undefined : measureWay(node.network, measures),
  ]);
  const changes =
    node.supervision === "systemd" ? await compare(directory, stamp, { agent: version }, measures) : undefined;
  const stalled = stallEvent(runtime ?? {});
  const draft: LineDraft = {
    ...stamp,
    kind: "sample",
    machine,
    ...(runtime === undefined ? {} : { runtime }),
    ...(app === undefined || Object.keys(app.app).length === 0 ? {} : { app: app.app }),
    ...(net === undefined || Object.keys(net).length === 0 ? {} : { net }),
    ...(measures.errors.length === 0 ? {} : { errors: measures.errors }),
  };
  return {
    draft,
    events: [...(changes?.events ?? []), ...(app?.events ?? []), ...(stalled === undefined ? [] : [stalled])],
    stuck: stalled !== undefined || isDeaf(runtime ?? {}, app?.memory?.silent ?? 0, stamp.at),
    remember() {
      if (app?.memory !== undefined) writeMemory(paths.app, app.memory);
      if (changes !== undefined) writeMemory(paths.changes, changes.memory);
    },
  };
}

async function measureWay(
  { origin, stun }: NonNullable<NodeFile["network"]>,
  measures: Measures,
): Promise<NetMeasures> {
  const [way, udp] = await Promise.all([
    measureNetwork(origin, measures),
    stun === undefined ? undefined : measures.attempt("net.udp_ms", () => measureUdp(stun)),
  ]);
  return udp === undefined ? way : { ...way, udp_ms: udp };
}

async function compare(
  directory: string,
  { boot, at }: Stamp,
  versions: Readonly<Record<string, string>>,
  measures: Measures,
): Promise<{ readonly events: readonly NodeEvent[]; readonly memory: ChangesMemory }> {
  const now = new Date(at);
  const before = readMemory<ChangesMemory>(nodePaths(directory).changes);
  const { sight, events, more } = await lookAtMachine(boot, versions, before, measures, now);
  const compared = changesOf(before, sight, now);
  return { events: [...compared.events, ...events], memory: { ...compared.memory, ...more } };
}

async function measureRuntime(
  node: NodeFile,
  units: readonly UnitStatus[],
  measures: Measures,
): Promise<RuntimeMeasures | undefined> {
  const probe = node.probes.runtime;
  if (probe.kind !== "unit") return undefined;
  const unit = units.find(({ name }) => name === probe.unit);
  if (unit === undefined) {
    measures.fail("runtime", "no-unit");
    return undefined;
  }
  const { name, state, pid, restarts, since, lastExit } = unit;
  if (pid === null)
    return {
      state: "down",
      reason: lacksBrowser(node, name)
        ? "no-browser"
        : (lastExit?.signal ?? (lastExit === null ? state : `exit-${lastExit.code}`)),
      restarts,
      since,
    };
  const pss = await measures.attempt("runtime.pss_bytes", () => proportionalSetSize(processesOf(pid)));
  const stall =
    node.supervision === "systemd"
      ? await measures.attempt("runtime.memory_stall_percent", () =>
          memoryStallIn(readFileSync(`/sys/fs/cgroup/system.slice/${serviceOf(name)}/memory.pressure`, "utf8")),
        )
      : undefined;
  return {
    state: "up",
    pid,
    restarts,
    since,
    ...(pss === undefined ? {} : { pss_bytes: pss }),
    ...(stall === undefined ? {} : { memory_stall_percent: stall }),
  };
}
