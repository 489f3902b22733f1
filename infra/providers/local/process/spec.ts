import { z } from "zod";
import { Probe, ProcessUnit } from "../../../../cloud-init/workloads/descriptor.ts";

const RelativePath = z.string().regex(/^(?!\/)(?!.*(^|\/)\.\.(\/|$)).+$/, "must be a path inside the node's folder");
const AbsolutePath = z.string().regex(/^\//, "must be an absolute path");

/**
 * A browser extension as a network hands it out: `crx` is the packed file, `version` the one that is pinned. What else
 * the network says of it is left out.
 */
export const Extension = z.object({
  id: z.string().regex(/^[a-p]{32}$/, "must be an extension id"),
  version: z.string().regex(/^\d+(\.\d+){0,3}$/, "must be an extension's version"),
  crx: AbsolutePath,
});
export type Extension = z.infer<typeof Extension>;

/**
 * A supervised group of processes: what stands in `node.json`. `everySeconds` is the distance between samples, or null
 * for a group without an agent. `settings` is what the extension finds in its managed storage; it may hold a secret,
 * so the file is for its owner only.
 */
export const GroupSpec = z.strictObject({
  schema: z.literal(1),
  key: z.string().min(1),
  machineId: z.uuid(),
  everySeconds: z.int().min(1).nullable(),
  workload: z.string().min(1),
  revision: z.strictObject({ machine: z.int(), software: z.int() }),
  units: z.array(ProcessUnit).min(1),
  files: z.array(z.strictObject({ from: AbsolutePath, to: RelativePath })),
  needs: z.array(z.enum(["browser"])),
  network: z
    .strictObject({
      name: z.string(),
      origin: z.url(),
      extension: Extension.nullable(),
      settings: z.record(z.string(), z.unknown()),
    })
    .nullable(),
  probes: z.strictObject({ runtime: Probe, app: Probe.nullable() }),
  heartbeatStaleSeconds: z.int().positive().optional(),
});
export type GroupSpec = z.infer<typeof GroupSpec>;
