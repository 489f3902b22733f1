import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { places, ports } from "../machine/layout.ts";
import type { Probe } from "../workloads/descriptor.ts";
import { type DebuggingEndpoint, debuggingEndpoint, endpointAt, evaluateInPage, listTargets } from "./devtools.ts";
import { type NodeFile, nodePaths, readJson, readMemory, type UnitStatus } from "./folder.ts";
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
  readonly version?: string;
  /** The mark of the profile that the network node id was last seen in. */
  readonly profile?: string;
  /** Samples one after the other in which a running browser did not answer. */
  readonly silent?: number;
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
  const before = readMemory<AppMemory>(nodePaths(directory).app) ?? {};
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
  const found = readMemory<AppMemory>(paths.app) ?? {};
  const sameLife = found.browserSince === browser.since;
  const mark = await measures.attempt("app.profile", () => profileMark(directory, node));
  const replaced = mark !== undefined && found.profile !== undefined && mark !== found.profile;
  // Before the browser registers anew: whoever reads this knows why another network node follows.
  const events: NodeEvent[] = replaced
    ? [{ name: "profile-replaced", network_node_id: found.networkNodeId ?? null }]
    : [];
  const life: AppMemory = sameLife && !replaced ? found : { ...known(found), browserSince: browser.since };
  const memory: AppMemory = mark === undefined ? life : { ...life, profile: mark };

  const awake = await measures.attempt("app.worker", async () => {
    const targets = await listTargets(await endpointOf(directory, node));
    const prefix = `chrome-extension://${extension.id}/`;
    return targets.some(({ type, url }) => type === "service_worker" && url.startsWith(prefix));
  });
  const heard: AppMemory = { ...memory, silent: awake === undefined ? (memory.silent ?? 0) + 1 : 0 };
  const seen: AppMemory = awake ? { ...heard, seenAwake: true } : heard;
  // A worker that is not listed sleeps only if it ever was: before, the extension may not be there at all.
  const listed: AppMeasures = awake
    ? { state: "up", worker: "awake" }
    : awake === false && seen.seenAwake
      ? { worker: "asleep" }
      : {};
  if (awake === undefined || !lookIsDue(seen, probe.lookSeconds, browser.since, now))
    return { app: listed, events, memory: seen };

  try {
    const facts = await look(await endpointOf(directory, node), extension.id, probe);
    const vain = facts.networkNodeId === undefined ? { vainLooks: (seen.vainLooks ?? 0) + 1 } : { vainLooks: 0 };
    const looked: AppMemory = { ...seen, ...vain, lookedAt: now.toISOString() };
    const told = changed(looked, facts);
    return {
      app: { ...listed, state: "up", looked: true, ...measuresOf(facts, now) },
      ...told,
      events: [...events, ...told.events],
    };
  } catch (error) {
    measures.fail("app.looked", codeOf(error));
    const memory: AppMemory = { ...seen, vainLooks: (seen.vainLooks ?? 0) + 1, lookedAt: now.toISOString() };
    // The page of an extension that is not there is an error page; anything else says nothing of the extension.
    const gone = error instanceof MeasureFailed && error.code === "page-error" && !awake;
    return { app: gone ? { ...listed, state: "down", reason: "no-page" } : listed, events, memory };
  }
}

function runtimeUnit(node: NodeFile): string | undefined {
  const { runtime } = node.probes;
  return runtime.kind === "unit" ? runtime.unit : node.units[0]?.name;
}

/** What outlives a restart of the browser. */
function known({ networkNodeId, version, profile }: AppMemory): AppMemory {
  return {
    ...(networkNodeId === undefined ? {} : { networkNodeId }),
    ...(version === undefined ? {} : { version }),
    ...(profile === undefined ? {} : { profile }),
  };
}

/** On a machine the profile is another account's, and the browser listens at a port that is known. */
async function endpointOf(directory: string, node: NodeFile): Promise<DebuggingEndpoint> {
  return node.supervision === "systemd"
    ? await endpointAt(ports.debugging)
    : debuggingEndpoint(nodePaths(directory).profile);
}

/**
 * Returns the mark of the browser's profile: a random word that lies in it and is gone when the profile is. On a machine
 * the browser's unit makes it and shows it; elsewhere the agent does. Undefined where there is no profile yet.
 */
function profileMark(directory: string, node: NodeFile): string | undefined {
  if (node.supervision === "systemd") return readText(places.profileMark);
  const { profile } = nodePaths(directory);
  const file = join(profile, "gradientlab-profile");
  const mark = readText(file);
  if (mark !== undefined || !existsSync(profile)) return mark;
  const made = randomUUID();
  writeFileSync(file, `${made}\n`, { mode: 0o600 });
  return made;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
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
  endpoint: DebuggingEndpoint,
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
  const value = (await evaluateInPage(endpoint, `chrome-extension://${extensionId}/${probe.page}`, expression)) as {
    stored: Record<string, unknown>;
    version: unknown;
  };
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

/** Returns `memory` with what was read, and events where the network node id or the version is another than before. */
function changed(memory: AppMemory, facts: AppFacts): Pick<AppReading, "events" | "memory"> {
  const { networkNodeId, version } = facts;
  const events: NodeEvent[] = [];
  if (networkNodeId !== undefined && networkNodeId !== memory.networkNodeId)
    events.push({ name: "network-node-changed", from: memory.networkNodeId ?? null, to: networkNodeId });
  if (version !== undefined && memory.version !== undefined && version !== memory.version)
    events.push({ name: "updated", what: "app", from: memory.version, to: version });
  return {
    events,
    memory: {
      ...memory,
      ...(networkNodeId === undefined ? {} : { networkNodeId }),
      ...(version === undefined ? {} : { version }),
    },
  };
}
