import type { JournalLine } from "../../cloud-init/agent/line.ts";
import type { LayerChange } from "./timeline.ts";

/** What the fold of a node's lines has to remember from one pull to the next. */
export interface FoldMemory {
  readonly journal: string;
  readonly n: number;
  /** The instant of the last line, RFC 3339. */
  readonly at: string;
  readonly everySeconds: number;
  /** The node said that it was being stopped: the silence that follows is planned. */
  readonly stopping: boolean;
  /** The app was last looked into with a heartbeat too old; samples that do not look cannot clear it. */
  readonly heartbeatLate: boolean;
}

/** What of a workload's descriptor decides how its lines are read. */
export interface LineRules {
  /** The unit whose start and exit are the runtime's; null where the runtime is not a unit. */
  readonly runtimeUnit: string | null;
  /** The unit whose start and exit are the app's; null where the app is not a unit. */
  readonly appUnit: string | null;
  readonly heartbeatStaleSeconds: number | null;
}

/** A node's own id in its network, as its journal told it. */
export interface ToldIdentity {
  readonly at: Date;
  readonly networkNodeId: string;
  readonly journal: string;
  readonly n: number;
}

/** A stretch in which the node took no sample though it should have. */
interface MissingSamples {
  readonly from: Date;
  readonly to: Date;
}

export interface Folded {
  readonly memory: FoldMemory | null;
  readonly changes: readonly LayerChange[];
  readonly missing: readonly MissingSamples[];
  readonly identities: readonly ToldIdentity[];
  readonly latest: { readonly at: Date; readonly restarts: number | null; readonly pssBytes: number | null } | null;
}

/** Samples that may be missing in a row before a layer is `unknown`. */
const silentSamples = 3;

// A disk or a memory with less than this left is about to stop the workload.
const leastFreeShare = 0.02;

/**
 * Returns what `lines` (of one journal, in the order of `n`) change in the layers machine, runtime and app, each change
 * at its line's own instant, with what to remember for the lines that follow.
 */
export function foldLines(before: FoldMemory | null, lines: readonly JournalLine[], rules: LineRules): Folded {
  let memory = before;
  let latest: Folded["latest"] = null as Folded["latest"];
  const changes: LayerChange[] = [];
  const missing: MissingSamples[] = [];
  const identities: ToldIdentity[] = [];
  for (const line of lines) {
    if (memory?.journal === line.j && isLate(memory, line)) {
      changes.push(...changesOfMissing(memory));
      missing.push({ from: new Date(memory.at), to: new Date(line.at) });
    }
    const known = memory?.journal === line.j ? memory : null;
    changes.push(...(line.kind === "event" ? changesOfEvent(line, rules) : changesOfSample(line, rules, known)));
    identities.push(...identityIn(line));
    if (line.kind === "sample") {
      latest = {
        at: new Date(line.at),
        restarts: line.runtime?.restarts ?? latest?.restarts ?? null,
        pssBytes: line.runtime?.pss_bytes ?? latest?.pssBytes ?? null,
      };
    }
    memory = {
      journal: line.j,
      n: line.n,
      at: line.at,
      everySeconds: line.every_s,
      stopping: isStop(line) || (known?.stopping === true && !isBoot(line)),
      heartbeatLate: heartbeatLate(line, rules, known),
    };
  }
  return { memory, changes, missing, identities, latest };
}

/**
 * Returns the instant from which silence means something: three sample distances after the last line; null where
 * none is expected or nothing was ever read.
 */
export function silentFrom(memory: FoldMemory | null): Date | null {
  if (memory === null || memory.stopping) return null;
  return new Date(Date.parse(memory.at) + silentSamples * memory.everySeconds * 1000);
}

/** Why a node is called silent: whether its agent answers at all tells what can still be asked of it. */
export const silence = { answers: "no sample comes", unasked: "its agent cannot be asked" } as const;

const nodeLayers = ["machine", "runtime", "app"] as const;

/** Returns the changes of a node of which nothing is heard: unknown, because silence alone tells neither up nor down. */
export function changesOfSilence(from: Date, after: string, reason: string): LayerChange[] {
  return nodeLayers.map((layer) => ({
    layer,
    at: from,
    value: "unknown",
    reason,
    evidence: { kind: "silence", after },
  }));
}

/** Returns the changes of a node whose agent answered, at `at`, that nothing of it runs. */
export function changesOfStatus(at: Date): LayerChange[] {
  return nodeLayers.map((layer) => ({
    layer,
    at,
    value: "down",
    reason: "its agent answers that nothing runs",
    evidence: { kind: "status", alive: false },
  }));
}

/** Returns the changes of a node that the inventory says is powered off. */
export function changesOfPowerOff(writtenAt: string): LayerChange[] {
  return nodeLayers.map((layer) => ofInventory(layer, "down", "powered off", writtenAt));
}

/** Returns the changes of a node that left the inventory: nothing of it runs, and nobody asks the network about it. */
export function changesOfLeaving(writtenAt: string): LayerChange[] {
  const reason = "left the fleet";
  return [
    ...nodeLayers.map((layer) => ofInventory(layer, "down", reason, writtenAt)),
    { ...ofInventory("verdict", "unknown", reason, writtenAt), class: "unknown" },
    ofInventory("reward", "unknown", reason, writtenAt),
  ];
}

/** Returns the changes of a node that earns from no network. */
export function changesOfNoNetwork(writtenAt: string): LayerChange[] {
  const reason = "it earns from no network";
  return [
    { ...ofInventory("verdict", "none", reason, writtenAt), class: "unknown" },
    ofInventory("reward", "none", reason, writtenAt),
  ];
}

function ofInventory(layer: LayerChange["layer"], value: string, reason: string, writtenAt: string): LayerChange {
  return { layer, at: new Date(writtenAt), value, reason, evidence: { kind: "inventory", writtenAt } };
}

function isLate(memory: FoldMemory, line: JournalLine): boolean {
  const from = silentFrom(memory);
  return from !== null && Date.parse(line.at) > from.getTime();
}

function changesOfMissing(memory: FoldMemory): LayerChange[] {
  const from = silentFrom(memory) ?? new Date(memory.at);
  return nodeLayers.map((layer) => ({
    layer,
    at: from,
    value: "unknown",
    reason: "no sample was taken",
    evidence: { kind: "lines-missing", journal: memory.journal, after: memory.n },
  }));
}

function change(line: JournalLine, layer: LayerChange["layer"], value: string, reason: string): LayerChange {
  const evidence = { kind: "line", journal: line.j, n: line.n } as const;
  // An event is written when it happens, a sample finds what has happened since the one before.
  const told = line.kind === "event" ? ({ byEvent: true } as const) : {};
  return { layer, at: new Date(line.at), value, reason, evidence, ...told };
}

function isBoot(line: JournalLine): boolean {
  return line.kind === "event" && line.event?.name === "boot";
}

function isStop(line: JournalLine): boolean {
  return line.kind === "event" && line.event?.name === "stopping";
}

function changesOfEvent(line: JournalLine, rules: LineRules): LayerChange[] {
  const event = line.event;
  const unit = typeof event?.unit === "string" ? event.unit : null;
  switch (event?.name) {
    case "boot":
      return [
        change(line, "machine", "up", "booted"),
        change(line, "runtime", "unknown", "starting"),
        change(line, "app", "unknown", "starting"),
      ];
    case "stopping":
      return nodeLayers.map((layer) => change(line, layer, "down", "stopped as asked"));
    case "unit-started":
      if (unit === rules.runtimeUnit) return [change(line, "runtime", "up", `${unit} runs`)];
      return unit !== null && unit === rules.appUnit ? [change(line, "app", "up", `${unit} runs`)] : [];
    case "unit-exited": {
      const how =
        typeof event.signal === "string"
          ? `ended by ${event.signal}`
          : `ended with code ${typeof event.code === "number" ? event.code : "unknown"}`;
      if (unit !== null && unit === rules.runtimeUnit) {
        return [change(line, "runtime", "down", `${unit} ${how}`), change(line, "app", "down", `${unit} ${how}`)];
      }
      return unit !== null && unit === rules.appUnit ? [change(line, "app", "down", `${unit} ${how}`)] : [];
    }
    default:
      return [];
  }
}

function changesOfSample(line: JournalLine, rules: LineRules, memory: FoldMemory | null): LayerChange[] {
  // A sample that was being taken when the stop was asked for tells nothing new of a node that is going away.
  if (memory?.stopping === true) return [];
  return [machineOf(line), ...runtimeOf(line), ...appOf(line, rules, memory)];
}

function machineOf(line: JournalLine): LayerChange {
  const machine = line.machine;
  if (short(machine?.disk_free_bytes, machine?.disk_total_bytes)) {
    return change(line, "machine", "degraded", "its disk is nearly full");
  }
  if (short(machine?.mem_available_bytes, machine?.mem_total_bytes)) {
    return change(line, "machine", "degraded", "its memory is nearly used up");
  }
  return change(line, "machine", "up", "samples arrive");
}

function short(left: number | undefined, total: number | undefined): boolean {
  return left !== undefined && total !== undefined && total > 0 && left / total < leastFreeShare;
}

function runtimeOf(line: JournalLine): LayerChange[] {
  const { state, reason } = line.runtime ?? {};
  if (state !== undefined)
    return [change(line, "runtime", state, reason ?? (state === "up" ? "runs" : "does not run"))];
  const code = failureOf(line, "runtime");
  return code === undefined ? [] : [change(line, "runtime", "unknown", `not measured: ${code}`)];
}

function appOf(line: JournalLine, rules: LineRules, memory: FoldMemory | null): LayerChange[] {
  const { state, reason, heartbeat_age_s: age } = line.app ?? {};
  if (state === "down") return [change(line, "app", "down", reason ?? "does not run")];
  if (state === "up") {
    if (!heartbeatLate(line, rules, memory)) return [change(line, "app", "up", reason ?? "runs")];
    return [
      change(line, "app", "degraded", age === undefined ? "its heartbeat is late" : `last heartbeat ${age} s ago`),
    ];
  }
  const code = failureOf(line, "app");
  return code === undefined ? [] : [change(line, "app", "unknown", `not measured: ${code}`)];
}

function heartbeatLate(line: JournalLine, rules: LineRules, memory: FoldMemory | null): boolean {
  if (line.kind === "event") return memory?.heartbeatLate === true && !isBoot(line);
  const age = line.app?.heartbeat_age_s;
  if (age === undefined) return memory?.heartbeatLate === true;
  return rules.heartbeatStaleSeconds !== null && age > rules.heartbeatStaleSeconds;
}

// The measures that a layer's state comes from: where one of them failed and no state was told, nothing is known.
const stateMeasures = { runtime: ["runtime", "runtime.state"], app: ["app", "app.state", "app.worker"] } as const;

/** Returns the code of the first failed measure that `part`'s state would have come from. */
function failureOf(line: JournalLine, part: keyof typeof stateMeasures): string | undefined {
  const fields: readonly string[] = stateMeasures[part];
  return line.errors?.find(({ field }) => fields.includes(field))?.code;
}

function identityIn(line: JournalLine): ToldIdentity[] {
  const told =
    line.kind === "event" && line.event?.name === "network-node-changed" ? line.event.to : line.app?.network_node_id;
  if (typeof told !== "string" || told === "") return [];
  return [{ at: new Date(line.at), networkNodeId: told, journal: line.j, n: line.n }];
}
