import { sql } from "kysely";
import type { ChangeItem } from "../api/types.ts";
import type { Database, InTransaction } from "./database.ts";

/** What changed, for the live stream: see `ChangeItem`. */
export interface Change {
  readonly topic: "node" | "account" | "inventory" | "alert" | "recovery";
  readonly subject: string;
}

/** The channel on which PostgreSQL tells listeners that changes were committed. */
export const changeChannel = "gradientlab_change";

const orderLock = 7_232_002;

/**
 * Appends `changes`. It has to be the last statement of its transaction: the lock it takes makes ids visible in their
 * order, so that a reader that has seen id 5 will never find a new 4.
 */
export async function appendChanges(transaction: InTransaction, at: Date, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return;
  await sql`select pg_advisory_xact_lock(${orderLock})`.execute(transaction);
  await transaction
    .insertInto("change")
    .values(changes.map(({ topic, subject }) => ({ at, topic, subject })))
    .execute();
  await sql`select pg_notify(${changeChannel}, '')`.execute(transaction);
}

/** Returns up to `limit` changes after the id `after`, oldest first. */
export async function changesAfter(database: Database, after: string, limit: number): Promise<ChangeItem[]> {
  const rows = await database
    .selectFrom("change")
    .selectAll()
    .where("id", ">", after)
    .orderBy("id")
    .limit(limit)
    .execute();
  return rows.map(({ id, at, topic, subject }) => ({ id, at: at.toISOString(), topic, subject }));
}

/** Returns the ids of the oldest and the newest change kept; both "0" where there is none. */
export async function changeExtent(database: Database): Promise<{ readonly first: string; readonly last: string }> {
  const row = await database
    .selectFrom("change")
    .select(({ fn }) => [fn.min<string | null>("id").as("first"), fn.max<string | null>("id").as("last")])
    .executeTakeFirstOrThrow();
  return { first: row.first ?? "0", last: row.last ?? "0" };
}

/** Forgets changes from before `before`: they only serve listeners that were away for a moment. */
export async function pruneChanges(database: Database, before: Date): Promise<void> {
  await database.deleteFrom("change").where("at", "<", before).execute();
}
