import { z } from "zod";

/**
 * The stack's inventory: what the fleet tells the collector, and the only thing it tells. Deterministic for a given
 * stack: sorted by key, without clock readings, counters or secrets.
 */

/** One line of a price: what is paid for, in micro-dollars a month. */
export const PriceLine = z.strictObject({
  item: z.string(),
  microUsdPerMonth: z.int().nonnegative(),
  source: z.string(),
  checkedOn: z.iso.date(),
});
export type PriceLine = z.infer<typeof PriceLine>;

const Jump = z.object({ host: z.string(), port: z.int().optional(), user: z.string(), hostKey: z.string() });

/** How the agent of a node is reached: over SSH, or as a process through the node's folder on this machine. */
export const Reach = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("ssh"),
    host: z.string(),
    port: z.int().min(1).max(65535),
    user: z.string(),
    hostKeys: z.array(z.string()),
    jump: Jump.optional(),
  }),
  z.object({ kind: z.literal("process"), directory: z.string() }),
]);
export type Reach = z.infer<typeof Reach>;

export const NodeKey = z.string().regex(/^[a-z][a-z0-9-]{0,19}\/(0|[1-9][0-9]*)$/, "must be <group>/<slot>");

/** One node. `machineId` is the provider's id: another id is another incarnation of the node. */
export const NodeRecord = z.object({
  key: NodeKey,
  group: z.string(),
  slot: z.int().nonnegative(),
  label: z.string().optional(),
  provider: z.string(),
  region: z.string(),
  placement: z.string(),
  arch: z.enum(["x64", "arm64"]),
  size: z.string(),
  workload: z.string(),
  network: z.string().nullable(),
  power: z.enum(["on", "off"]),
  price: z.array(PriceLine),
  machineId: z.string(),
  revision: z.object({ machine: z.int(), software: z.int() }),
  reach: Reach,
});
export type NodeRecord = z.infer<typeof NodeRecord>;

export const InventoryPhase = z.object({
  name: z.string(),
  end: z.iso.datetime().nullable(),
  then: z.string().nullable(),
  budgetMicroUsdPerMonth: z.int().nonnegative(),
});
export type InventoryPhase = z.infer<typeof InventoryPhase>;

/** The stack output `inventory`. Unknown fields are ignored; another `schema` is refused. */
export const Inventory = z.object({
  schema: z.literal(1, "is not a schema this release reads; it reads schema 1"),
  stack: z.string(),
  phase: InventoryPhase.nullable(),
  freeUntil: z.array(z.object({ account: z.string(), at: z.iso.datetime() })),
  shared: z.array(PriceLine),
  nodes: z.array(NodeRecord),
});
export type Inventory = z.infer<typeof Inventory>;

/** The file the collector watches: the inventory, its SHA-256 over the exact JSON of `inventory`, and when it was written. */
export const InventoryFile = z.object({
  schema: z.literal(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  writtenAt: z.iso.datetime(),
  inventory: Inventory,
});
export type InventoryFile = z.infer<typeof InventoryFile>;
