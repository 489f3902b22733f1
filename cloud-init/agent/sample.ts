import { readFileSync } from "node:fs";
import { measureApp } from "./app.ts";
import { type NodeFile, nodePaths, readJson, type UnitStatus, type UnitsFile, writeJson } from "./folder.ts";
import type { LineDraft, Stamp } from "./journal.ts";
import type { NodeEvent, RuntimeMeasures } from "./line.ts";
import { measureMachine } from "./machine.ts";
import { type Measures, newMeasures } from "./measure.ts";
import { measureNetwork } from "./network.ts";
import { processesOf, proportionalSetSize } from "./processes.ts";

/** A sample to append, and the events that it tells of, to be appended behind it. */
export interface Sample {
  readonly draft: LineDraft;
  readonly events: readonly NodeEvent[];
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

/** Measures every layer of the node once. What could not be measured is left out and stands in `errors`. */
export async function takeSample(directory: string, node: NodeFile): Promise<Sample> {
  const measures = newMeasures();
  const units = readJson<UnitsFile>(nodePaths(directory).units)?.units ?? [];
  const appProbe = node.probes.app;
  const [machine, runtime, app, net] = await Promise.all([
    measureMachine(directory, measures),
    measureRuntime(node, units, measures),
    appProbe === null
      ? undefined
      : measures.attempt("app", () => measureApp(directory, node, appProbe, units, measures, new Date())),
    node.network === null ? undefined : measureNetwork(node.network.origin, measures),
  ]);
  const draft: LineDraft = {
    ...stampNow(node.everySeconds),
    kind: "sample",
    machine,
    ...(runtime === undefined ? {} : { runtime }),
    ...(app === undefined || Object.keys(app.app).length === 0 ? {} : { app: app.app }),
    ...(net === undefined || Object.keys(net).length === 0 ? {} : { net }),
    ...(measures.errors.length === 0 ? {} : { errors: measures.errors }),
  };
  return {
    draft,
    events: app?.events ?? [],
    remember() {
      if (app?.memory !== undefined) writeJson(nodePaths(directory).app, app.memory);
    },
  };
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
  const { state, pid, restarts, since, lastExit } = unit;
  if (pid === null)
    return {
      state: "down",
      reason: lastExit?.signal ?? (lastExit === null ? state : `exit-${lastExit.code}`),
      restarts,
      since,
    };
  const pss = await measures.attempt("runtime.pss_bytes", () => proportionalSetSize(processesOf(pid)));
  return { state: "up", pid, restarts, since, ...(pss === undefined ? {} : { pss_bytes: pss }) };
}
