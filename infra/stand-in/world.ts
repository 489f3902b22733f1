import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Properties } from "../plugin/resource.ts";

/** A resource as a stand-in cloud has it. */
export interface Kept {
  readonly id: string;
  readonly type: string;
  /** Its name in the cloud, where it has one. */
  readonly name: string;
  readonly inputs: Properties;
  readonly outputs: Properties;
  /** When it was last changed, in milliseconds since 1970, and whether it failed after the cloud had accepted it. */
  readonly since: number;
  readonly failed: boolean;
  /** The machine's place and kind, for what has capacity. */
  readonly place: string | null;
}

/** One call of a cloud's interface. */
export interface CallRecord {
  readonly cloud: string;
  readonly operation: string;
  readonly type: string;
  readonly name: string;
  readonly outcome: string;
}

/** All that stand-in clouds hold, in one file that several plugin processes and later runs share. */
export interface World {
  /** Runs `work` whole or not at all, and nobody else's beside it. */
  whole<Result>(work: () => Result): Result;
  find(cloud: string, id: string, ignoreCase: boolean): Kept | undefined;
  all(cloud: string, type?: string): readonly Kept[];
  keep(cloud: string, resource: Kept): void;
  drop(cloud: string, id: string): void;
  /** Adds one to a counter and returns what it was before. */
  count(name: string): number;
  record(call: CallRecord): void;
  calls(): readonly CallRecord[];
  close(): void;
}

/** Returns the clouds in the folder; it and they are made where they are missing. */
export function openWorld(folder: string): World {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(join(folder, "clouds.sqlite"), { timeout: 30_000 });
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS resources (
      cloud TEXT NOT NULL, id TEXT NOT NULL COLLATE NOCASE, type TEXT NOT NULL, body TEXT NOT NULL,
      PRIMARY KEY (cloud, id)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS calls (n INTEGER PRIMARY KEY, body TEXT NOT NULL);
  `);
  const one = database.prepare("SELECT body FROM resources WHERE cloud = ? AND id = ?");
  const some = database.prepare("SELECT body FROM resources WHERE cloud = ? AND type = ? ORDER BY id");
  const every = database.prepare("SELECT body FROM resources WHERE cloud = ? ORDER BY id");
  const put = database.prepare("INSERT OR REPLACE INTO resources (cloud, id, type, body) VALUES (?, ?, ?, ?)");
  const remove = database.prepare("DELETE FROM resources WHERE cloud = ? AND id = ?");
  const add = database.prepare(
    "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
  );
  const note = database.prepare("INSERT INTO calls (body) VALUES (?)");
  const noted = database.prepare("SELECT body FROM calls ORDER BY n");
  const bodies = (rows: readonly unknown[]): Kept[] =>
    rows.map((row) => JSON.parse((row as { readonly body: string }).body) as Kept);
  return {
    whole(work) {
      database.exec("BEGIN IMMEDIATE");
      try {
        const result = work();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      }
    },
    find(cloud, id, ignoreCase) {
      const [found] = bodies([one.get(cloud, id)].filter((row) => row !== undefined));
      return found !== undefined && (ignoreCase || found.id === id) ? found : undefined;
    },
    all: (cloud, type) => bodies(type === undefined ? every.all(cloud) : some.all(cloud, type)),
    keep: (cloud, resource) => void put.run(cloud, resource.id, resource.type, JSON.stringify(resource)),
    drop: (cloud, id) => void remove.run(cloud, id),
    count: (name) => Number((add.get(name) as { readonly value: number }).value) - 1,
    record: (call) => void note.run(JSON.stringify(call)),
    calls: () => noted.all().map((row) => JSON.parse((row as { readonly body: string }).body) as CallRecord),
    close: () => database.close(),
  };
}
