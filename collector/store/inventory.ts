import { sql } from "kysely";
import type { InventoryFile, NodeRecord } from "../../infra/inventory.ts";
import { changesOfLeaving, changesOfNoNetwork, changesOfPowerOff } from "../states/lines.ts";
import { appendChanges, type Change } from "./changes.ts";
import { takeCosts } from "./costs.ts";
import type { Database, InTransaction } from "./database.ts";
import { applyLayerChanges } from "./layers.ts";

const inventoryLock = 7_232_003;

/** What became of an inventory file: taken, already known, or older than the one taken last. */
export type Acceptance = "accepted" | "known" | "older";

/** Returns the inventory file that was accepted last, or undefined where none ever was. */
async function lastInventory(database: Database): Promise<{ sha256: string; writtenAt: Date } | undefined> {
  const row = await database
    .selectFrom("inventory_version")
    .select(["sha256", "written_at"])
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? undefined : { sha256: row.sha256, writtenAt: row.written_at };
}

/**
 * Takes an inventory whose form was checked: nodes come, change and leave in one transaction, each change at the file's
 * own instant. A file older than the last one accepted is not taken.
 */
export async function acceptInventory(database: Database, file: InventoryFile, now: Date): Promise<Acceptance> {
  return database.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(${inventoryLock})`.execute(transaction);
    const last = await lastInventory(transaction);
    const writtenAt = new Date(file.writtenAt);
    if (last?.sha256 === file.sha256 && last.writtenAt.getTime() === writtenAt.getTime()) return "known";
    if (last !== undefined && writtenAt.getTime() < last.writtenAt.getTime()) return "older";
    await transaction
      .insertInto("inventory_version")
      .values({
        stack: file.inventory.stack,
        sha256: file.sha256,
        written_at: writtenAt,
        accepted_at: now,
        body: JSON.stringify(file.inventory),
      })
      .execute();
    const before = await transaction.selectFrom("node").selectAll().orderBy("id").forUpdate().execute();
    const known = new Map(before.map((node) => [node.key, node]));
    const changes: Change[] = [{ topic: "inventory", subject: file.inventory.stack }];
    for (const record of file.inventory.nodes) {
      await acceptNode(transaction, record, known.get(record.key), file.writtenAt);
      changes.push({ topic: "node", subject: record.key });
    }
    const present = new Set(file.inventory.nodes.map(({ key }) => key));
    for (const node of before) {
      if (present.has(node.key) || node.gone_at !== null) continue;
      await leave(transaction, node.id, file.writtenAt);
      changes.push({ topic: "node", subject: node.key });
    }
    await takeCosts(transaction, file.inventory, writtenAt);
    await appendChanges(transaction, now, changes);
    return "accepted";
  });
}

interface KnownNode {
  readonly machine_id: string;
  readonly network: string | null;
  readonly power: "on" | "off";
  readonly gone_at: Date | null;
}

async function acceptNode(
  transaction: InTransaction,
  record: NodeRecord,
  known: KnownNode | undefined,
  writtenAt: string,
): Promise<void> {
  const at = new Date(writtenAt);
  const columns = {
    node_group: record.group,
    slot: record.slot,
    label: record.label ?? null,
    provider: record.provider,
    region: record.region,
    workload: record.workload,
    network: record.network,
    power: record.power,
    machine_id: record.machineId,
    reach: JSON.stringify(record.reach),
    gone_at: null,
  };
  const row = await transaction
    .insertInto("node")
    .values({ key: record.key, first_seen_at: at, ...columns })
    .onConflict((conflict) => conflict.column("key").doUpdateSet(columns))
    .returning("id")
    .executeTakeFirstOrThrow();
  await transaction
    .insertInto("node_latest")
    .values({ node_id: row.id })
    .onConflict((conflict) => conflict.column("node_id").doNothing())
    .execute();
  if (known === undefined || known.machine_id !== record.machineId || known.gone_at !== null) {
    await beginIncarnation(transaction, row.id, record.machineId, at);
  }
  if (record.network === null && (known === undefined || known.network !== null)) {
    await applyLayerChanges(transaction, row.id, changesOfNoNetwork(writtenAt));
  }
  if (record.power === "off" && (known === undefined || known.power === "on")) {
    await applyLayerChanges(transaction, row.id, changesOfPowerOff(writtenAt));
  }
}

/** A machine that was away and is back goes on with the life it had; another machine begins another. */
async function beginIncarnation(
  transaction: InTransaction,
  nodeId: number,
  machineId: string,
  at: Date,
): Promise<void> {
  await transaction
    .updateTable("incarnation")
    .set({ to_at: at })
    .where("node_id", "=", nodeId)
    .where("machine_id", "<>", machineId)
    .where("to_at", "is", null)
    .execute();
  await transaction
    .insertInto("incarnation")
    .values({ node_id: nodeId, machine_id: machineId, from_at: at })
    .onConflict((conflict) => conflict.columns(["node_id", "machine_id"]).doUpdateSet({ to_at: null }))
    .execute();
}

async function leave(transaction: InTransaction, nodeId: number, writtenAt: string): Promise<void> {
  const at = new Date(writtenAt);
  await transaction.updateTable("node").set({ gone_at: at }).where("id", "=", nodeId).execute();
  for (const table of ["incarnation", "network_node"] as const) {
    await transaction
      .updateTable(table)
      .set({ to_at: at })
      .where("node_id", "=", nodeId)
      .where("to_at", "is", null)
      .execute();
  }
  await applyLayerChanges(transaction, nodeId, changesOfLeaving(writtenAt));
}
