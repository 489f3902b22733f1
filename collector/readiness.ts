import { setTimeout as delay } from "node:timers/promises";
import { type Database, newestMigration } from "./store/database.ts";

/** What a collector waits for before it does its work. */
export type Missing = "database" | "schema" | "inventory" | "schedule";

/** What is looked at. */
export interface ReadinessDependencies {
  readonly database: Database;
  /** The schema's number that this release works with. */
  readonly schema: number;
  /** Whether the inventory was looked at once. */
  readonly inventory: () => boolean;
  /** Milliseconds since the schedule's ledger took its last turn without an error; null before the first. */
  readonly sinceTurnMs: () => number | null;
}

const patienceMs = 2_000;
// The ledger takes a turn every second.
const longestTurnMs = 15_000;

/** Returns what is missing now, in the order in which it is needed; nothing when the collector does its work. */
export async function missing(dependencies: ReadinessDependencies): Promise<readonly Missing[]> {
  const { database, schema, inventory, sinceTurnMs } = dependencies;
  const found = await Promise.race([newestOrNull(database), delay(patienceMs, null, { ref: false })]);
  const since = sinceTurnMs();
  return [
    ...(found === null ? (["database"] as const) : found === schema ? [] : (["schema"] as const)),
    ...(inventory() ? [] : (["inventory"] as const)),
    ...(since !== null && since < longestTurnMs ? [] : (["schedule"] as const)),
  ];
}

async function newestOrNull(database: Database): Promise<number | null> {
  try {
    return await newestMigration(database);
  } catch (error) {
    // Whatever the database says, it does not answer; who asks is told just that.
    if (error instanceof Error) return null;
    throw error;
  }
}
