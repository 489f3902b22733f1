import { sql } from "kysely";
import type { Inventory } from "../../infra/inventory.ts";
import type { Database, InTransaction } from "./database.ts";

/** Takes the prices of an inventory that was written at `writtenAt`; its nodes are known already. */
export async function takeCosts(transaction: InTransaction, inventory: Inventory, writtenAt: Date): Promise<void> {
  await sql`select take_costs(${JSON.stringify(inventory)}::jsonb, ${writtenAt})`.execute(transaction);
}

/** Which costs are asked for: those of a node, those that stood at some time of `[from, to)`. */
export interface CostFilter {
  readonly nodeId?: number;
  readonly from?: Date;
  readonly to?: Date;
  readonly after?: string;
  readonly limit: number;
}

/** Returns list prices with from when to when they stood in the inventory, the newest row first. */
export async function costRows(database: Database, filter: CostFilter) {
  let query = database
    .selectFrom("cost")
    .leftJoin("node", "node.id", "cost.node_id")
    .select([
      "cost.id",
      "node.key",
      "cost.item",
      "cost.micro_usd_per_month",
      "cost.source",
      "cost.checked_on",
      "cost.from_at",
      "cost.to_at",
    ])
    .orderBy("cost.id", "desc")
    .limit(filter.limit);
  const { nodeId, from, to, after } = filter;
  if (nodeId !== undefined) query = query.where("cost.node_id", "=", nodeId);
  if (to !== undefined) query = query.where("cost.from_at", "<", to);
  if (from !== undefined) {
    query = query.where(({ eb, or }) => or([eb("cost.to_at", "is", null), eb("cost.to_at", ">", from)]));
  }
  if (after !== undefined) query = query.where("cost.id", "<", after);
  return query.execute();
}
