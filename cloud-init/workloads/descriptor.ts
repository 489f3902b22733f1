import { z } from "zod";

/**
 * A workload's descriptor: plain data beside the workload's files, read by the program (which networks it may earn
 * from, how it boots), by the agent (what to probe) and by the collector and its page (what the layers are called).
 * Workloads are found by folder: `<folder>/<name>/descriptor.json`.
 */

/**
 * A long-running process of a node. In `exec` and `env` these words are filled in on the node: `{node}` the node's
 * folder as its processes see it, `{browser}` the browser's binary, `{runtime}` a Node.js binary, `{origin}` the
 * network's origin.
 */
export const ProcessUnit = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/),
  /** `unprivileged` runs under the account that owns the node's profile, `supervisor` as whoever runs the node. */
  account: z.enum(["unprivileged", "supervisor"]),
  exec: z.array(z.string()).min(1),
  env: z.record(z.string(), z.string()).optional(),
  /** Seconds between SIGTERM and SIGKILL. */
  stopSeconds: z.int().min(1).max(300).default(10),
});
export type ProcessUnit = z.infer<typeof ProcessUnit>;

/**
 * A service of a node that is a machine of its own. In `exec` the words `{node}` and `{browser}` are filled in. Memory
 * is in hundredths of the machine's; at the limit the kernel ends the unit, which is started again. There is no limit at
 * which it is only slowed down: a browser that leaks then stays just below the one that ends it. Memory and swap together
 * must fit beside the system: compressed swap is memory, and data that does not compress takes as much of it as before.
 * With 70 and 512 MiB a leak of random data stopped a machine of 1 GB for good before any limit.
 */
export const MachineUnit = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/),
  exec: z.array(z.string()).min(1),
  stopSeconds: z.int().min(1).max(300).default(20),
  memoryMaxPercent: z.int().min(1).max(100),
  swapMaxMib: z.int().nonnegative(),
  /** Days between two planned restarts, which give back what a long-running program has leaked. */
  recycleDays: z.int().min(1).max(31).optional(),
});
export type MachineUnit = z.infer<typeof MachineUnit>;

/** How the agent tells whether a layer is up. */
export const Probe = z.discriminatedUnion("kind", [
  /** The named unit runs. */
  z.strictObject({ kind: z.literal("unit"), unit: z.string() }),
  /** A browser extension: listed by the debugging endpoint, and now and then its page asked for the allow-listed keys. */
  z.strictObject({
    kind: z.literal("extension"),
    page: z.string(),
    keys: z.strictObject({ networkNodeId: z.string(), lastHeartbeatAt: z.string(), version: z.string().optional() }),
    lookSeconds: z.int().min(60),
  }),
  /** A JSON file `{version?, networkNodeId?, lastHeartbeatAt?}` that the workload keeps in the node's folder. */
  z.strictObject({ kind: z.literal("file"), path: z.string() }),
]);
export type Probe = z.infer<typeof Probe>;

export const WorkloadDescriptor = z.strictObject({
  schema: z.literal(1),
  name: z.string().regex(/^[a-z][a-z0-9-]*$/),
  title: z.string(),
  /** Networks the workload can earn from; an empty list means that it earns from none. */
  networks: z.array(z.string()),
  /** What people call the five layers of this workload. */
  layers: z.strictObject({
    machine: z.string(),
    runtime: z.string(),
    app: z.string(),
    verdict: z.string(),
    reward: z.string(),
  }),
  probes: z.strictObject({ runtime: Probe, app: Probe.nullable() }),
  /** A heartbeat older than this many seconds makes the app layer `degraded`. */
  heartbeatStaleSeconds: z.int().positive().optional(),
  /** Boot by processes on the operator's own machine. */
  process: z.strictObject({
    needs: z.array(z.enum(["browser"])),
    units: z.array(ProcessUnit).min(1),
    /** Files of the workload's folder that are copied to `<node>/workload/`. */
    files: z.array(z.string()).default([]),
  }),
  /** Boot as a machine of its own; a workload without it runs as processes only. */
  machine: z
    .strictObject({
      needs: z.array(z.enum(["browser"])),
      units: z.array(MachineUnit).min(1),
    })
    .optional(),
});
export type WorkloadDescriptor = z.infer<typeof WorkloadDescriptor>;
