import { type RawBuilder, sql } from "kysely";
import { describe, expect, it } from "vitest";
import { connectAsOwner, migrations, openDatabase } from "../../../collector/store/database.ts";
import { serverForFile } from "../database.ts";

const server = serverForFile();
const silent = (): void => undefined;

async function asOwner(url: string, statement: RawBuilder<unknown>): Promise<void> {
  const owner = connectAsOwner(url, silent);
  await statement.execute(owner);
  await owner.destroy();
}

describe("opening the database", () => {
  it("brings an empty one to this release's schema, and finds it so the next time", async () => {
    const url = await server.freshUrl();
    for (const _attempt of [1, 2]) {
      const database = await openDatabase(url, silent);
      const { rows } = await sql<{ count: string }>`select count(*) from migration`.execute(database);
      expect(Number(rows[0]?.count)).toBe((await migrations()).length);
      await database.destroy();
    }
  });

  it("lets several collectors start on an empty database at once", async () => {
    const url = await server.freshUrl();
    const opened = await Promise.all([1, 2, 3].map(() => openDatabase(url, silent)));
    const { rows } = await sql<{ count: string }>`select count(*) from migration`.execute(
      opened[0] as (typeof opened)[0],
    );
    expect(Number(rows[0]?.count)).toBe((await migrations()).length);
    await Promise.all(opened.map((database) => database.destroy()));
  });

  it("refuses the schema of a newer release", async () => {
    const url = await server.freshUrl();
    const database = await openDatabase(url, silent);
    await database.destroy();
    await asOwner(url, sql`insert into migration (number, name, sha256) values (999, '0999-later.sql', 'x')`);
    await expect(openDatabase(url, silent)).rejects.toMatchObject({ code: "schema-newer" });
  });

  it("refuses a schema that was made by another text", async () => {
    const url = await server.freshUrl();
    const database = await openDatabase(url, silent);
    await database.destroy();
    await asOwner(url, sql`update migration set sha256 = 'x' where number = 1`);
    await expect(openDatabase(url, silent)).rejects.toMatchObject({ code: "schema-changed" });
  });

  it("names DATABASE_URL, and no password, when the server cannot be reached or refuses us", async () => {
    const nobody = "postgresql://user:hidden-word@127.0.0.1:1/none";
    const refused = new URL(await server.freshUrl());
    refused.password = "hidden-word";
    for (const url of [nobody, refused.href]) {
      const error: unknown = await openDatabase(url, silent).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toMatchObject({ code: "bad-input", problems: [{ path: "DATABASE_URL" }] });
      expect(String((error as Error).message)).not.toContain("hidden-word");
    }
  });
});
