import type { FoldMemory } from "../states/lines.ts";
import type { Database } from "./database.ts";

/** Returns the nodes whose journals are followed: those that are in the inventory. */
export async function nodesToFollow(database: Database) {
  return database
    .selectFrom("node")
    .select(["id", "key", "machine_id as machineId", "workload", "power", "reach"])
    .where("gone_at", "is", null)
    .orderBy("id")
    .execute();
}

/** Returns what the fold of a node's lines remembers. */
export async function lineMemory(database: Database, nodeId: number): Promise<FoldMemory | null> {
  const row = await database
    .selectFrom("node_latest")
    .select("memory")
    .where("node_id", "=", nodeId)
    .executeTakeFirst();
  return row?.memory ?? null;
}

/** Whose lines a spooled journal holds, and from when to when. */
export interface SpooledJournal {
  readonly key: string;
  readonly machineId: string;
  readonly firstAt: Date;
  readonly lastAt: Date;
}

/**
 * Returns the node that a spooled journal belongs to. A node, or a machine of it, that came and went while the collector
 * was away is made known by its journal: what only the inventory could tell of it stays `unknown`.
 */
export async function nodeOfSpool(
  database: Database,
  spooled: SpooledJournal,
): Promise<{ readonly id: number; readonly workload: string }> {
  const [group = "", slot = ""] = spooled.key.split("/");
  return database.transaction().execute(async (transaction) => {
    await transaction
      .insertInto("node")
      .values({
        key: spooled.key,
        node_group: group,
        slot: Number(slot),
        label: null,
        provider: "unknown",
        region: "unknown",
        workload: "unknown",
        network: null,
        power: "off",
        machine_id: spooled.machineId,
        reach: JSON.stringify({ kind: "process", directory: "" }),
        first_seen_at: spooled.firstAt,
        gone_at: spooled.lastAt,
      })
      .onConflict((conflict) => conflict.column("key").doNothing())
      .execute();
    const node = await transaction
      .selectFrom("node")
      .select(["id", "workload"])
      .where("key", "=", spooled.key)
      .forUpdate()
      .executeTakeFirstOrThrow();
    await transaction
      .insertInto("node_latest")
      .values({ node_id: node.id })
      .onConflict((conflict) => conflict.column("node_id").doNothing())
      .execute();
    await transaction
      .insertInto("incarnation")
      .values({
        node_id: node.id,
        machine_id: spooled.machineId,
        from_at: spooled.firstAt,
        to_at: spooled.lastAt,
      })
      .onConflict((conflict) => conflict.columns(["node_id", "machine_id"]).doNothing())
      .execute();
    return node;
  });
}
