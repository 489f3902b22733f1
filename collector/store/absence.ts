import { silentFrom } from "../states/lines.ts";
import type { LayerChange } from "../states/timeline.ts";
import { appendChanges } from "./changes.ts";
import type { Database } from "./database.ts";
import { applyLayerChanges } from "./layers.ts";
import type { AccountKey } from "./readings.ts";

/**
 * Puts changes that the collector itself concluded about a node (silence, an agent's answer) into its layers, unless a
 * line newer than `lineAt` was stored meanwhile. Returns whether they were put.
 */
export async function applyConclusion(
  database: Database,
  nodeId: number,
  lineAt: string | null,
  changes: readonly LayerChange[],
  now: Date,
): Promise<boolean> {
  return database.transaction().execute(async (transaction) => {
    const node = await transaction
      .selectFrom("node")
      .innerJoin("node_latest", "node_latest.node_id", "node.id")
      .select(["node.key", "node.power", "node.gone_at", "node_latest.memory"])
      .where("node.id", "=", nodeId)
      .forUpdate()
      .executeTakeFirstOrThrow();
    if (node.power === "off" || node.gone_at !== null || (node.memory?.at ?? null) !== lineAt) return false;
    await applyLayerChanges(transaction, nodeId, changes);
    await appendChanges(transaction, now, [{ topic: "node", subject: node.key }]);
    return true;
  });
}

/** Returns when a call of the account, named by how it begins, was last answered with what was understood. */
export async function lastUnderstood(database: Database, key: AccountKey, call: string): Promise<Date | null> {
  const row = await database
    .selectFrom("reading")
    .select("finished_at")
    .where("network", "=", key.network)
    .where("account", "=", key.account)
    .where("outcome", "=", "ok")
    .where(({ fn, val, ref }) => fn<boolean>("starts_with", [ref("source"), val(call)]))
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row?.finished_at ?? null;
}

/**
 * Notes that an account was not read: a gap from the last understood answer, and from `from` on the verdict and reward
 * of its nodes are unknown, because an old answer is not repeated as if it were new.
 */
export async function beginUnread(
  database: Database,
  key: AccountKey,
  lastRead: Date,
  from: Date,
  reason: string,
  now: Date,
): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    await transaction
      .insertInto("gap")
      .values({ ...key, kind: "not-read", from_at: lastRead, to_at: null, reason })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const nodes = await transaction
      .selectFrom("node")
      .innerJoin("network_node", "network_node.node_id", "node.id")
      .select(["node.id", "node.key"])
      .where("network_node.network", "=", key.network)
      .where("network_node.to_at", "is", null)
      // A node is of the account whose newest fact tells of it: one of another account has none of this one to be found.
      .where(
        ({ selectFrom }) =>
          selectFrom("fact")
            .select("fact.account")
            .whereRef("fact.network", "=", "network_node.network")
            .whereRef("fact.network_node_id", "=", "network_node.network_node_id")
            .orderBy("fact.as_of", "desc")
            .orderBy("fact.id", "desc")
            .limit(1),
        "=",
        key.account,
      )
      .orderBy("node.id")
      .forUpdate("node")
      .execute();
    const evidence = { kind: "no-reading", after: lastRead.toISOString() } as const;
    const told = "the network was not read";
    for (const node of nodes) {
      await applyLayerChanges(transaction, node.id, [
        { layer: "verdict", at: from, value: "unknown", class: "unknown", reason: told, evidence },
        { layer: "reward", at: from, value: "unknown", reason: told, evidence },
      ]);
    }
    await appendChanges(transaction, now, [
      { topic: "account", subject: `${key.network}/${key.account}` },
      ...nodes.map((node) => ({ topic: "node" as const, subject: node.key })),
    ]);
  });
}

/** Notes that an account was read again at `at`. */
export async function endUnread(database: Database, key: AccountKey, at: Date): Promise<void> {
  await database
    .updateTable("gap")
    .set({ to_at: at })
    .where("network", "=", key.network)
    .where("account", "=", key.account)
    .where("kind", "=", "not-read")
    .where("to_at", "is", null)
    .execute();
}

/**
 * Notes, for nodes that left the fleet before `before` without their journal's end having come, that the rest was
 * deleted unread. A journal that arrives after all takes the note back (`forgetDeletedUnread`).
 */
export async function noteDeletedUnread(database: Database, before: Date): Promise<void> {
  const nodes = await database
    .selectFrom("node")
    .innerJoin("node_latest", "node_latest.node_id", "node.id")
    .select(["node.id", "node.gone_at", "node_latest.memory"])
    .where("node.gone_at", "<", before)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom("gap")
            .select("gap.id")
            .whereRef("gap.node_id", "=", "node.id")
            .whereRef("gap.to_at", "=", "node.gone_at")
            .where("gap.kind", "=", "deleted-unread"),
        ),
      ),
    )
    .execute();
  for (const { id, gone_at: goneAt, memory } of nodes) {
    if (
      memory === null ||
      goneAt === null ||
      silentFrom(memory) === null ||
      Date.parse(memory.at) >= goneAt.getTime()
    ) {
      continue;
    }
    await database
      .insertInto("gap")
      .values({
        node_id: id,
        kind: "deleted-unread",
        from_at: new Date(memory.at),
        to_at: goneAt,
        reason: "The node was deleted before the rest of its journal was read.",
      })
      .execute();
  }
}

/** Takes back the note that a node was deleted unread: its journal came. */
export async function forgetDeletedUnread(database: Database, nodeId: number): Promise<void> {
  await database.deleteFrom("gap").where("node_id", "=", nodeId).where("kind", "=", "deleted-unread").execute();
}
