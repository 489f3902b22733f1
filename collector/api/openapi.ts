import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { workloadsIn } from "../inventory/workloads.ts";
import { openArchives } from "../store/archive/archives.ts";
import type { Tables } from "../store/schema.ts";
import { buildServer } from "./server.ts";

/** Returns the OpenAPI document of the API, as `/api/v1/openapi.json` answers it. Nothing is connected or served. */
export async function openApiDocument(): Promise<unknown> {
  const database = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: new pg.Pool() }) });
  const app = await buildServer({
    database,
    archives: openArchives("."),
    workloads: workloadsIn(null),
    now: () => new Date(),
    host: "127.0.0.1",
    webRoot: null,
    bell: { listen: () => () => undefined, stop: async () => undefined },
    log: () => undefined,
    waiting: async () => [],
    metrics: async () => "",
  });
  await app.ready();
  const document: unknown = JSON.parse(JSON.stringify(app.swagger()));
  await app.close();
  await database.destroy();
  return document;
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await openApiDocument(), null, 2)}\n`);
