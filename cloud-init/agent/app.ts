import { join } from "node:path";
import type { Probe } from "../workloads/descriptor.ts";
import { debuggingEndpoint, evaluateInPage, listTargets } from "./devtools.ts";
import { type NodeFile, nodePaths, readJson, type UnitStatus } from "./folder.ts";
import type { AppMeasures, NodeEvent } from "./line.ts";
import { codeOf, MeasureFailed, type Measures } from "./measure.ts";

/** What the agent remembers between two samples, in `state/app.json`. */
interface AppMemory {
  /** The browser start that the rest speaks of: a restart is a new life. */
  readonly browserSince?: string;
  readonly seenAwake?: boolean;
  readonly lookedAt?: string;
  /** Looks that found no network node id yet; they are repeated sooner, but not for ever. */
  readonly vainLooks?: number;
  readonly networkNodeId?: string;
}

/** The app's measures, the events that they tell of, and what to remember once both are written. */
export interface AppReading {
  readonly app: AppMeasures;
  readonly events: readonly NodeEvent[];
  readonly memory?: AppMemory;
}

/** What an app's own storage or file says, already checked. */
interface AppFacts {
  readonly networkNodeId?: string;
  readonly lastHeartbeatAt?: number;
  readonly version?: string;
}

/** A browser that has just begun is given this long to bring its extension up before the first look. */
const settleMs = 15_000;
/** Looks in vain are repeated after 5, 10, 20 and 40 s: a node registers within seconds or hardly at all. */
const vainLookMs = 5000;
const maxVainLooks = 4;

/** Returns what the probe tells of the app layer at the instant `now`. Failed measures go to `measures`. */
export async function measureApp(
  directory: string,
  node: NodeFile,
  probe: Probe,
  units: readonly UnitStatus[],
  measures: Measures,
  now: Date,
): Promise<AppReading> {
  switch (probe.kind) {
    case "unit": {
      const unit = units.find(({ name }) => name === probe.unit);
      const up = unit?.state === "up";
      return { app: up ? { state: "up" } : { state: "down", reason: unit?.state ?? "no-unit" }, events: [] };
    }
    case "file":
      return measureFile(directory, probe.path, now);
    case "extension":
      return measureExtension(directory, node, probe, units, measures, now);
    default:
      return probe satisfies never;
  }
}

async function measureFile(directory: string, path: string, now: Date): Promise<AppReading> {
  let value: unknown;
  try {
    value = readJson<unknown>(join(directory, path));
  } catch (error) {
    if (error instanceof SyntaxError) return { app: { state: "down", reason: "not-json" }, events: [] };
    throw error;
  }
  if (typeof value !== "object" || value === null) return { app: { state: "down", reason: "no-file" }, events: [] };
  const facts = factsOf(value as Record<string, unknown>);
  const before = readJson<AppMemory>(nodePaths(directory).app) ?? {};
  return { app: { state: "up", ...measuresOf(facts, now) }, ...changed(before, facts) };
}

async function measureExtension(
  directory: string,
  node: NodeFile,
  probe: Extract<Probe, { kind: "extension" }>,
  units: readonly UnitStatus[],
  measures: Measures,
  now: Date,
): Promise<AppReading> {
  const extension = node.network?.extension;
  if (extension === null || extension === undefined) return { app: {}, events: [] };
  const browser = units.find(({ name }) => name === runtimeUnit(node));
  if (browser?.state !== "up") return { app: { state: "down", reason: "runtime-down" }, events: [] };

  const paths = nodePaths(directory);
  const found = readJson<AppMemory>(paths.app) ?? {};
  const sameLife = found.browserSince === browser.since;
  const memory: AppMemory = sameLife ? found : { ...known(found), browserSince: browser.since };

  const awake = await measures.attempt("app.worker", async () => {
    const targets = await listTargets(debuggingEndpoint(paths.profile));
    const prefix = `chrome-extension://${extension.id}/`;
    return targets.some(({ type, url }) => type === "service_worker" && url.startsWith(prefix));
  });
  const seen: AppMemory = awake ? { ...memory, seenAwake: true } : memory;
  // A worker that is not listed sleeps only if it ever was: before, the extension may not be there at all.
  const listed: AppMeasures = awake
    ? { state: "up", worker: "awake" }
    : awake === false && seen.seenAwake
      ? { worker: "asleep" }
      : {};
  if (awake === undefined || !lookIsDue(seen, probe.lookSeconds, browser.since, now))
    return { app: listed, events: [], memory: seen };

  try {
    const facts = await look(paths.profile, extension.id, probe);
    const vain = facts.networkNodeId === undefined ? { vainLooks: (seen.vainLooks ?? 0) + 1 } : { vainLooks: 0 };
    const looked: AppMemory = { ...seen, ...vain, lookedAt: now.toISOString() };
    return { app: { ...listed, state: "up", looked: true, ...measuresOf(facts, now) }, ...changed(looked, facts) };
  } catch (error) {
    measures.fail("app.looked", codeOf(error));
    const memory: AppMemory = { ...seen, vainLooks: (seen.vainLooks ?? 0) + 1, lookedAt: now.toISOString() };
    // The page of an extension that is not there is an error page; anything else says nothing of the extension.
    const gone = error instanceof MeasureFailed && error.code === "page-error" && !awake;
    return { app: gone ? { ...listed, state: "down", reason: "no-page" } : listed, events: [], memory };
  }
}

function runtimeUnit(node: NodeFile): string | undefined {
  const { runtime } = node.probes;
  return runtime.kind === "unit" ? runtime.unit : node.units[0]?.name;
}

function known({ networkNodeId }: AppMemory): AppMemory {
  return networkNodeId === undefined ? {} : { networkNodeId };
}

/** Soon after the extension appeared, then rarely: each look opens a page in the browser that is being watched. */
function lookIsDue(memory: AppMemory, lookSeconds: number, browserSince: string, now: Date): boolean {
  if (memory.lookedAt === undefined)
    return memory.seenAwake === true || now.getTime() - Date.parse(browserSince) >= settleMs;
  const since = now.getTime() - Date.parse(memory.lookedAt);
  const vain = memory.vainLooks ?? 0;
  return since >= (vain > 0 && vain <= maxVainLooks ? vainLookMs * 2 ** (vain - 1) : lookSeconds * 1000) || since < 0;
}

async function look(
  profile: string,
  extensionId: string,
  probe: Extract<Probe, { kind: "extension" }>,
): Promise<AppFacts> {
  const { networkNodeId, lastHeartbeatAt, version } = probe.keys;
  const keys = [networkNodeId, lastHeartbeatAt, ...(version === undefined ? [] : [version])];
  // Only the allow-listed keys leave the page: a login in the same storage is never read.
  const expression = `(async () => {
    const got = await chrome.storage.local.get(${JSON.stringify(keys)});
    return { stored: got, version: chrome.runtime.getManifest().version };
  })()`;
  const value = (await evaluateInPage(
    debuggingEndpoint(profile),
    `chrome-extension://${extensionId}/${probe.page}`,
    expression,
  )) as { stored: Record<string, unknown>; version: unknown };
  return factsOf({
    networkNodeId: value.stored[networkNodeId],
    lastHeartbeatAt: value.stored[lastHeartbeatAt],
    version: (version === undefined ? undefined : value.stored[version]) ?? value.version,
  });
}

/** Takes over only values of the expected kind: an id of up to 128 letters, an instant, a version. */
function factsOf(value: Readonly<Record<string, unknown>>): AppFacts {
  const { networkNodeId, lastHeartbeatAt, version } = value;
  const at = typeof lastHeartbeatAt === "string" ? Date.parse(lastHeartbeatAt) : lastHeartbeatAt;
  return {
    ...(typeof networkNodeId === "string" && /^[\w.:-]{1,128}$/.test(networkNodeId) ? { networkNodeId } : {}),
    ...(typeof at === "number" && Number.isFinite(at) ? { lastHeartbeatAt: at } : {}),
    ...(typeof version === "string" && /^[\w.+-]{1,64}$/.test(version) ? { version } : {}),
  };
}

function measuresOf(facts: AppFacts, now: Date): AppMeasures {
  return {
    ...(facts.version === undefined ? {} : { version: facts.version }),
    ...(facts.lastHeartbeatAt === undefined
      ? {}
      : { heartbeat_age_s: Math.max(0, Math.round((now.getTime() - facts.lastHeartbeatAt) / 100) / 10) }),
    ...(facts.networkNodeId === undefined ? {} : { network_node_id: facts.networkNodeId }),
  };
}

/** Returns `memory` with the network node id that was read, and the event where it is another one than before. */
function changed(memory: AppMemory, { networkNodeId }: AppFacts): Pick<AppReading, "events" | "memory"> {
  const before = memory.networkNodeId;
  if (networkNodeId === undefined || networkNodeId === before) return { events: [], memory };
  return {
    events: [{ name: "network-node-changed", from: before ?? null, to: networkNodeId }],
    memory: { ...memory, networkNodeId },
  };
}
