import { sql } from "kysely";
import type { Database } from "./database.ts";

const made = new WeakMap<Database, Set<string>>();
const monthsAhead = 2;

/** Makes the monthly partitions that lines of these instants need, where they are missing. */
export async function preparePartitions(database: Database, instants: readonly Date[]): Promise<void> {
  const known = made.get(database) ?? new Set<string>();
  made.set(database, known);
  const months = new Set(instants.map((at) => `${at.toISOString().slice(0, 7)}-01`));
  const missing = [...months].filter((month) => /^(?!0000)\d{4}-/.test(month) && !known.has(month));
  if (missing.length === 0) return;
  await sql`select make_partitions(${missing}::date[])`.execute(database);
  for (const month of missing) known.add(month);
}

/** Forgets which partitions are there: another collector has dropped one that had become empty. */
export function forgetPartitions(database: Database): void {
  made.delete(database);
}

/** Makes the partitions of this month and the two that follow. */
export async function preparePartitionsAhead(database: Database, now: Date): Promise<void> {
  const ahead = Array.from(
    { length: monthsAhead + 1 },
    (_, months) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1)),
  );
  await preparePartitions(database, ahead);
}
