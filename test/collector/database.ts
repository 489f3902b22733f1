import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll } from "vitest";
import { openArchives } from "../../collector/store/archive/archives.ts";
import { type Database, openDatabase } from "../../collector/store/database.ts";
import { type EmbeddedServer, startEmbedded } from "../../collector/store/embedded.ts";

/** The archives of a database that has none. */
export const noArchives = openArchives("/nowhere/archives");

/** A database of its own on the file's server, with this release's schema. */
export interface TestDatabase {
  readonly database: Database;
  readonly url: string;
}

/** Starts a real PostgreSQL server for the test file that calls this; returns how to make a database on it. */
export function serverForFile(): {
  fresh(): Promise<TestDatabase>;
  freshUrl(): Promise<string>;
  /** Opens the database at a URL of `freshUrl`; it is closed after the file. */
  open(url: string): Promise<Database>;
} {
  let folder = "";
  let server: EmbeddedServer | undefined;
  const opened: Database[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "collector-database-"));
    server = await startEmbedded(folder, () => undefined);
  });
  afterAll(async () => {
    for (const database of opened) await database.destroy();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const freshUrl = async (): Promise<string> => {
    if (server === undefined) throw new Error("the server starts before the tests");
    const name = `t${randomUUID().replaceAll("-", "")}`;
    const client = new pg.Client({ connectionString: server.url("postgres") });
    await client.connect();
    await client.query(`create database ${name}`);
    await client.end();
    return server.url(name);
  };
  const open = async (url: string): Promise<Database> => {
    const database = await openDatabase(url, () => undefined);
    opened.push(database);
    return database;
  };
  return {
    freshUrl,
    open,
    async fresh() {
      const url = await freshUrl();
      return { database: await open(url), url };
    },
  };
}
