import type { GapItem, Layer, LayerName, NodeItem, SampleItem, StateItem } from "../../../collector/api/types.ts";

/** Returns the instant `seconds` before `now`, RFC 3339. */
export function ago(seconds: number, now = Date.now()): string {
  return new Date(now - seconds * 1000).toISOString();
}

const names: Readonly<Record<LayerName, string>> = {
  machine: "machine",
  runtime: "browser",
  app: "extension",
  verdict: "verdict",
  reward: "reward",
};

/** Returns a layer in state `value` since `seconds` ago; null where nothing was ever known of it. */
export function layer(name: LayerName, value: string, seconds: number | null, more: Partial<Layer> = {}): Layer {
  return {
    value,
    name: names[name],
    reason: "",
    since: seconds === null ? null : ago(seconds),
    asOf: seconds === null ? null : ago(Math.min(seconds, 8)),
    ...more,
  };
}

/** Returns a node in good health on a practice network, `changes` applied. */
export function healthyNode(group: string, slot: number, changes: Partial<NodeItem> = {}): NodeItem {
  const age = 7300 + slot * 411;
  return {
    key: `${group}/${slot}`,
    group,
    slot,
    label: null,
    provider: "local",
    region: "this-machine",
    workload: "sentry",
    network: "practice",
    practice: true,
    power: "on",
    gone: false,
    goneAt: null,
    machineId: `machine-${group}-${slot}`,
    layers: {
      machine: layer("machine", "up", age),
      runtime: layer("runtime", "up", age - 4),
      app: layer("app", "up", age - 11),
      verdict: layer("verdict", "Good", age - 60, { class: "good" }),
      reward: layer("reward", "earning", age - 300),
    },
    networkNodeId: `7f3a1c5e-94d2-4b1f-a0c8-${(slot * 7919 + 4660).toString(16).padStart(12, "0")}`,
    points: { units: String(1_234_500 + slot * 25_000), scale: 5, unit: "point", asOf: ago(21), reading: "4711" },
    lastSampleAt: ago(4 + (slot % 6)),
    restarts: 0,
    pssBytes: 327_155_712 + slot * 1_048_576,
    ...changes,
  };
}

/** Returns a node whose browser died some seconds ago. */
export function brokenNode(group: string, slot: number): NodeItem {
  const node = healthyNode(group, slot);
  return {
    ...node,
    restarts: 3,
    layers: {
      ...node.layers,
      runtime: layer("runtime", "down", 14, {
        reason: "The browser ended with signal SIGKILL; it starts again in 4 s.",
      }),
      app: layer("app", "down", 14, { reason: "The browser it lives in is down." }),
      verdict: layer("verdict", "Disconnected", 6, { class: "bad", reason: "The network has heard nothing of it." }),
      reward: layer("reward", "stalled", 6, { reason: "No points came in the last reading." }),
    },
  };
}

/** Returns a node that just came and of which nothing is known yet. */
export function freshNode(group: string, slot: number): NodeItem {
  return healthyNode(group, slot, {
    layers: {
      machine: layer("machine", "up", 3),
      runtime: layer("runtime", "unknown", null),
      app: layer("app", "unknown", null),
      verdict: layer("verdict", "unknown", null, { class: "unknown" }),
      reward: layer("reward", "unknown", null),
    },
    networkNodeId: null,
    points: null,
    lastSampleAt: null,
    restarts: null,
    pssBytes: null,
  });
}

/** Returns a node whose address the network does not pay: a measured outcome, not a fault. */
export function unsupportedNode(group: string, slot: number): NodeItem {
  const node = healthyNode(group, slot);
  return {
    ...node,
    layers: {
      ...node.layers,
      verdict: layer("verdict", "Unsupported", 86_000, { class: "unsupported", reason: "data-center address" }),
      reward: layer("reward", "zero", 86_000, { reason: "Read, and nothing was earned." }),
    },
    points: { units: "0", scale: 5, unit: "point", asOf: ago(33), reading: "4712" },
  };
}

/** Returns a node that is switched off on purpose. */
export function offNode(group: string, slot: number): NodeItem {
  const node = healthyNode(group, slot, { power: "off", pssBytes: null, lastSampleAt: ago(90_000) });
  return {
    ...node,
    layers: {
      machine: layer("machine", "down", 90_000, { reason: "stopped in the config" }),
      runtime: layer("runtime", "down", 90_000),
      app: layer("app", "down", 90_000),
      verdict: layer("verdict", "Disconnected", 89_000, { class: "bad" }),
      reward: layer("reward", "stalled", 88_000),
    },
  };
}

/** Returns 200 nodes in five groups, most of them well, some of every other kind. */
export function largeFleet(): NodeItem[] {
  return ["frankfurt", "home", "oregon", "singapore", "zurich"].flatMap((group) =>
    Array.from({ length: 40 }, (_, slot) => {
      if (slot % 17 === 5) return brokenNode(group, slot);
      if (slot % 13 === 7) return unsupportedNode(group, slot);
      if (slot === 38) return freshNode(group, slot);
      if (slot === 36) return offNode(group, slot);
      return healthyNode(group, slot, slot % 9 === 0 ? { label: "rack two" } : {});
    }),
  );
}

/** What an hour of a node's life left behind: two crashes, a stale app, a gap. */
export function eventfulHour(node: string): { states: StateItem[]; events: SampleItem[]; gaps: GapItem[] } {
  const state = (
    name: LayerName,
    value: string,
    from: number,
    to: number | null,
    reason = "",
    more = {},
  ): StateItem => ({
    layer: name,
    value,
    reason,
    from: ago(from),
    to: to === null ? null : ago(to),
    asOf: ago(to ?? from),
    startCensoring: "none",
    endCensoring: to === null ? "right" : "none",
    evidence: {},
    ...more,
  });
  const event = (n: number, seconds: number, details: Record<string, unknown>): SampleItem => ({
    journal: "5e0f2e0a-0e4b-4d0a-9e68-2f5a7c0b1d11",
    n,
    at: ago(seconds),
    kind: "event",
    everySeconds: 10,
    line: { event: details },
  });
  return {
    states: [
      state("machine", "up", 3100, null),
      state("runtime", "up", 3090, 1900),
      state("runtime", "down", 1900, 1880, "The browser ended with signal SIGKILL."),
      state("runtime", "up", 1880, 640),
      state("runtime", "down", 640, 320, "The browser ended with code 1, five times in a row."),
      state("runtime", "up", 320, null),
      state("app", "up", 3080, 2500),
      state("app", "degraded", 2500, 2200, "The last heartbeat is 95 s old."),
      state("app", "up", 2200, 1900),
      state("app", "down", 1900, 1870),
      state("app", "up", 1870, 640),
      state("app", "down", 640, 310),
      state("app", "up", 310, null),
      state("verdict", "Good", 3000, 600, "", { class: "good" }),
      state("verdict", "Disconnected", 600, 280, "The network has heard nothing of it.", { class: "bad" }),
      state("verdict", "Unsupported", 280, 200, "data-center address", { class: "unsupported" }),
      state("verdict", "Good", 200, null, "", { class: "good" }),
      state("reward", "unknown", 3100, 2800, "Only one reading so far."),
      state("reward", "earning", 2800, 560),
      state("reward", "stalled", 560, 180, "No points came in the last reading."),
      state("reward", "earning", 180, null),
    ],
    events: [
      event(1, 3100, { name: "journal-created" }),
      event(2, 3100, { name: "boot" }),
      event(3, 3092, { name: "unit-started", unit: "browser" }),
      event(121, 1900, { name: "unit-exited", unit: "browser", code: null, signal: "SIGKILL" }),
      event(122, 1880, { name: "unit-started", unit: "browser" }),
      event(250, 640, { name: "unit-exited", unit: "browser", code: 1, signal: null }),
      event(282, 320, { name: "unit-started", unit: "browser" }),
      event(283, 310, { name: "action", verb: "recover", action: "a1b2", outcome: "done" }),
    ],
    gaps: [
      {
        id: "1",
        node,
        network: null,
        account: null,
        kind: "unreachable",
        from: ago(2700),
        to: ago(2580),
        reason: "The node's agent did not answer.",
      },
    ],
  };
}
