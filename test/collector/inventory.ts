import { createHash } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import type { Inventory, InventoryFile, NodeRecord } from "../../infra/inventory.ts";

/** Returns a record of a node that is reached as a process, with what a test wants different. */
export function nodeRecord(
  key: string,
  machineId: string,
  directory: string,
  other: Partial<NodeRecord> = {},
): NodeRecord {
  const [group = "", slot = ""] = key.split("/");
  return {
    key,
    group,
    slot: Number(slot),
    provider: "bench",
    region: "here",
    placement: "this-machine",
    arch: "x64",
    size: "process",
    workload: "sentry",
    network: "practice",
    power: "on",
    price: [],
    machineId,
    revision: { machine: 1, software: 1 },
    reach: { kind: "process", directory },
    ...other,
  };
}

/** Returns an inventory file of these nodes, as the program writes it. */
export function inventoryFile(nodes: readonly NodeRecord[], writtenAt: Date): InventoryFile {
  const inventory: Inventory = {
    schema: 1,
    stack: "test",
    phase: null,
    freeUntil: [],
    shared: [],
    nodes: nodes.toSorted((one, other) => (one.key < other.key ? -1 : 1)),
  };
  const sha256 = createHash("sha256").update(JSON.stringify(inventory)).digest("hex");
  return { schema: 1, sha256, writtenAt: writtenAt.toISOString(), inventory };
}

/** Writes an inventory so that a reader sees the old or the new one, never half of it. */
export async function writeInventory(
  file: string,
  nodes: readonly NodeRecord[],
  writtenAt = new Date(),
): Promise<void> {
  await writeFile(`${file}.part`, JSON.stringify(inventoryFile(nodes, writtenAt)));
  await rename(`${file}.part`, file);
}
