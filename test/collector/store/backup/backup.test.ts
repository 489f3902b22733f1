import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as passed } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { sql } from "kysely";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Manifest } from "../../../../collector/store/backup/manifest.ts";
import { restoreBackup } from "../../../../collector/store/backup/restore.ts";
import { takeBackup } from "../../../../collector/store/backup/take.ts";
import { connectAsOwner, type Database, openDatabase } from "../../../../collector/store/database.ts";
import { eraseBodies } from "../../../../collector/store/erase.ts";
import { dropEmptyPartitions, packClosedDays } from "../../../../collector/store/packing.ts";
import { preparePartitions } from "../../../../collector/store/partitions.ts";
import { verifyEvidence } from "../../../../collector/store/verify.ts";
import { randomFrom } from "../../../harness/node-life.ts";
import { noArchives, serverForFile } from "../../database.ts";
import { contentsOf, live, livedIn, liveOn } from "./lived-database.ts";

const kills = Number(process.env.BACKUP_KILLS ?? 4);
const killsMs = 300_000 + kills * 20_000;
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
const mover = fileURLToPath(new URL("./move.ts", import.meta.url));
const server = serverForFile();
const silent = (): void => undefined;
const never = new AbortController().signal;
const now = new Date("2027-02-05T12:00:00Z");
let database: Database;
let url = "";
let contents: Record<string, unknown>;
/** A backup of the database; tests take copies of it. */
let whole = "";
let manifest: Manifest;
let top = "";

const take = (folder: string, from = url, pieceBytes = 64 * 1024, say: (text: string) => void = silent) =>
  takeBackup({ url: from, folder, release: "0.0.0", now, pieceBytes }, say);
const restore = (folder: string, to: string, say: (text: string) => void = silent) =>
  restoreBackup({ url: to, folder, dataFolder: null }, say);

beforeAll(async () => {
  ({ database, url } = await server.fresh());
  await live(database, url, 3);
  contents = await contentsOf(url);
  whole = await mkdtemp(join(tmpdir(), "backup-whole-"));
  ({ manifest } = await take(whole));
  return () => rm(whole, { recursive: true, force: true });
});
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), "backup-"));
});
afterEach(async () => {
  await rm(top, { recursive: true, force: true });
});

/** Returns a copy of the backup with something done to its manifest, whose sum is right all the same. */
async function changed(change: (manifest: Manifest) => Manifest): Promise<string> {
  const folder = join(top, "changed");
  await cp(whole, folder, { recursive: true });
  const backup = change(manifest);
  const sha256 = createHash("sha256").update(JSON.stringify(backup)).digest("hex");
  await writeFile(join(folder, "manifest.json"), JSON.stringify({ schema: 1, sha256, backup }));
  return folder;
}

/** Runs `mover` and kills it within a moment of its `step`th step. Returns whether it was through before that. */
async function killed(what: "take" | "restore", at: string, folder: string, step: number): Promise<boolean> {
  const child = spawn(process.execPath, [mover, what, at, folder], { stdio: ["ignore", "inherit", "pipe", "ipc"] });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  let steps = 0;
  child.on("message", () => {
    steps++;
    if (steps === step) child.kill("SIGKILL");
  });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  if (signal === null && code !== 0) throw new Error(`it ended with ${code}: ${said}`);
  return signal === null;
}

async function faultsOf(at: string): Promise<readonly string[]> {
  const opened = await openDatabase(at, silent);
  try {
    return (await verifyEvidence(opened, silent)).faults;
  } finally {
    await opened.destroy();
  }
}

describe("a backup", () => {
  it("gives an empty database every byte of every table and the whole schema with its rights", async () => {
    const filled = manifest.tables.filter(({ rows }) => rows > 0).map(({ name }) => name);
    expect(filled).toEqual(expect.arrayContaining([...livedIn]));
    expect(manifest.pieces.length).toBeGreaterThan(manifest.tables.length);
    const target = await server.freshUrl();
    expect(await restore(whole, target)).toMatchObject({ kept: 0, manifest: { id: manifest.id } });
    expect(await contentsOf(target)).toEqual(contents);
    expect(await faultsOf(target)).toEqual([]);
    const opened = await openDatabase(target, silent);
    await expect(sql`update reading set reason = 'x'`.execute(opened)).rejects.toThrow("permission denied");
    const owner = connectAsOwner(target, silent);
    await expect(sql`update reading set reason = 'x'`.execute(owner)).rejects.toThrow("append-only");
    await Promise.all([opened.destroy(), owner.destroy()]);
  });

  it("is of one instant, while collectors store, pack and drop months", async () => {
    const own = await server.fresh();
    await live(own.database, own.url, 2);
    const work = new AbortController();
    let days = 0;
    const working = (async () => {
      for (; !work.signal.aborted; days++) {
        const later = new Date(now.getTime() + days * 86_400_000);
        await liveOn(own.database, 2, days);
        await packClosedDays(own.database, later, never);
        await dropEmptyPartitions(own.database, later);
      }
    })();
    const targets: string[] = [];
    for (const name of ["one", "two"]) {
      await take(join(top, name), own.url, 16 * 1024);
      targets.push(join(top, name));
      for (const before = days; days === before; ) await passed(10);
    }
    work.abort();
    await working;
    const readings: number[] = [];
    for (const folder of targets) {
      const target = await server.freshUrl();
      const { tables } = (await restore(folder, target)).manifest;
      readings.push(tables.find(({ name }) => name === "reading")?.rows ?? 0);
      expect(await faultsOf(target)).toEqual([]);
    }
    // It did go on meanwhile.
    expect(readings[1]).toBeGreaterThan(readings[0] ?? 0);
  });

  it("lets collectors make the partitions of a new month while it is taken", async () => {
    let made: Promise<void> | undefined;
    let before = false;
    await take(join(top, "b"), url, 4096, (text) => {
      if (!text.startsWith("account:")) return;
      made ??= preparePartitions(database, [new Date("2031-05-01")]).then(() => {
        before = true;
      });
    });
    const free = before;
    await made;
    const owner = connectAsOwner(url, silent);
    await sql`drop table sample_2031_05`.execute(owner).finally(() => owner.destroy());
    expect(free).toBe(true);
  });

  it("keeps of an interrupted one what the database still has, and takes the rest anew", async () => {
    const folder = join(top, "b");
    await cp(whole, folder, { recursive: true });
    const file = "node_hour.00001.copy.zst";
    await unlink(join(folder, "manifest.json"));
    const lines = [
      { schema: 1, migrations: manifest.migrations },
      ...manifest.pieces.map((piece) => (piece.file === file ? { ...piece, digest: "0".repeat(64) } : piece)),
    ];
    await writeFile(
      join(folder, "unfinished.jsonl"),
      `${lines.map((line) => JSON.stringify(line)).join("\n")}\n{"file":"cu`,
    );
    await truncate(join(folder, "fact.00001.copy.zst"), 10);
    expect((await take(folder)).kept).toBe(manifest.pieces.length - 2);
    expect((await readdir(folder)).toSorted()).toEqual((await readdir(whole)).toSorted());
    const target = await server.freshUrl();
    await restore(folder, target);
    expect(await contentsOf(target)).toEqual(contents);
  });

  it(
    "survives kills at any moment, while the database goes on, and never passes for whole before it is",
    async () => {
      const random = randomFrom(seed);
      const own = await server.freshUrl();
      await restore(whole, own);
      const opened = await openDatabase(own, silent);
      const folder = join(top, "killed");
      let begun = false;
      for (let kill = 0; kill < kills; kill++) {
        const step = 1 + Math.floor(random() * manifest.pieces.length);
        begun = !(await killed("take", own, folder, step));
        if (!begun) {
          await rm(folder, { recursive: true });
          continue;
        }
        const target = await server.freshUrl();
        await expect(restore(folder, target), `seed ${seed}`).rejects.toThrow("interrupted");
        await sql`insert into change (at, topic, subject) values (now(), 'node', ${`kill ${kill}`})`.execute(opened);
        await sql`delete from change where id = (select min(id) from change)`.execute(opened);
        if (kill === 1) {
          const owner = connectAsOwner(own, silent);
          const account = { network: "practice", account: "main" };
          await eraseBodies(owner, noArchives, account, new Date("2030-01-01"), { when: now, why: "asked" });
          await owner.destroy();
        }
      }
      await opened.destroy();
      const { kept } = await take(folder, own);
      if (begun) expect(kept, `seed ${seed}`).toBeGreaterThan(0);
      const target = await server.freshUrl();
      await restore(folder, target);
      expect(await contentsOf(target), `seed ${seed}`).toEqual(await contentsOf(own));
    },
    killsMs,
  );
});

describe("a restore", () => {
  it(
    "survives kills at any moment, and no collector works on what is not whole",
    async () => {
      const random = randomFrom(seed);
      let target = await server.freshUrl();
      for (let kill = 0; kill < kills; kill++) {
        const step = 1 + Math.floor(random() * (2 * manifest.pieces.length + 2));
        if (await killed("restore", target, whole, step)) {
          expect(await contentsOf(target), `seed ${seed}`).toEqual(contents);
          target = await server.freshUrl();
          continue;
        }
        const owner = connectAsOwner(target, silent);
        const { rows } = await sql<{
          begun: boolean;
          whole: boolean;
        }>`select to_regclass('unfinished_restore') is not null
        as begun, to_regclass('migration') is not null as whole`.execute(owner);
        await owner.destroy();
        // It may not have begun yet, and it may have been at its last word.
        const [state] = rows;
        if (state?.begun === true) {
          await expect(openDatabase(target, silent)).rejects.toMatchObject({ code: "restore-unfinished" });
          await expect(take(join(top, "half"), target)).rejects.toMatchObject({ code: "restore-unfinished" });
        } else if (state?.whole === true) {
          expect(await contentsOf(target), `seed ${seed}`).toEqual(contents);
          target = await server.freshUrl();
        }
      }
      await restore(whole, target);
      expect(await contentsOf(target), `seed ${seed}`).toEqual(contents);
    },
    killsMs,
  );

  it("goes on behind what is in when the database went away", async () => {
    const target = await server.freshUrl();
    let ended: Promise<unknown> | undefined;
    const end = (): void => {
      const owner = connectAsOwner(target, silent);
      ended ??= sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'gradientlab-backup'`
        .execute(owner)
        .finally(() => owner.destroy());
    };
    const half = restore(whole, target, (text) => {
      if (text.startsWith("line_pack")) end();
    });
    await expect(half).rejects.toMatchObject({
      code: "database-lost",
      fix: expect.stringContaining("npm run restore"),
    });
    await ended;
    expect((await restore(whole, target)).kept).toBeGreaterThan(0);
    expect(await contentsOf(target)).toEqual(contents);
  });

  it("refuses a database that is not empty, or holds a part of another backup, and changes nothing", async () => {
    await expect(restore(whole, url)).rejects.toMatchObject({
      code: "database-not-empty",
      message: expect.stringMatching(/^The database is not empty: it has \d+ tables, such as account\.$/),
    });
    expect(await contentsOf(url)).toEqual(contents);
    const target = await server.freshUrl();
    const stop = new Error("stop");
    const half = restore(whole, target, (text) => {
      if (text.startsWith("fact")) throw stop;
    });
    await expect(half).rejects.toBe(stop);
    const other = await changed((one) => ({ ...one, id: "00000000-0000-4000-8000-000000000000" }));
    await expect(restore(other, target)).rejects.toThrow("holds an unfinished restore of another backup");
    await restore(whole, target);
    expect(await contentsOf(target)).toEqual(contents);
  });

  it("takes a database for empty in which an extension alone has put views, as a provider's may", async () => {
    const target = await server.freshUrl();
    const owner = connectAsOwner(target, silent);
    await sql`create extension pg_stat_statements`.execute(owner).finally(() => owner.destroy());
    await restore(whole, target);
    expect(await faultsOf(target)).toEqual([]);
    const rows = ({ tables }: Manifest) => tables.map((table) => [table.name, table.rows]);
    expect(rows((await take(join(top, "b"), target)).manifest)).toEqual(rows(manifest));
  });

  it("names every file that is missing or damaged before it writes anything", async () => {
    const folder = await changed((one) => one);
    const [one, two, three] = manifest.pieces.filter(({ bytes }) => bytes > 40).map(({ file }) => file);
    const flipped = await readFile(join(folder, two ?? ""));
    flipped[30] = (flipped[30] ?? 0) ^ 1;
    await unlink(join(folder, one ?? ""));
    await writeFile(join(folder, two ?? ""), flipped);
    await truncate(join(folder, three ?? ""), 7);
    const target = await server.freshUrl();
    await expect(restore(folder, target)).rejects.toMatchObject({
      code: "bad-input",
      problems: [
        { message: `${one} is missing.` },
        { message: `${two} is damaged: its SHA-256 is not the manifest's.` },
        { message: expect.stringMatching(/is damaged: it has 7 bytes and should have \d+\.$/) },
      ],
    });
    await restore(whole, target);
  });

  it("finds rows that are other than those backed up, whatever the manifest says of the file", async () => {
    const folder = await changed((one) => ({
      ...one,
      pieces: one.pieces.map((piece) => (piece.table === "node" ? { ...piece, digest: "0".repeat(64) } : piece)),
    }));
    await expect(restore(folder, await server.freshUrl())).rejects.toMatchObject({ code: "restore-differs" });
    const fewer = await changed((one) => ({ ...one, pieces: one.pieces.filter(({ table }) => table !== "gap") }));
    await expect(restore(fewer, await server.freshUrl())).rejects.toThrow("The table gap has 0 rows");
  });

  it("says what is wrong with what it was given", async () => {
    const target = await server.freshUrl();
    const refusal = (folder: string, dataFolder: string | null = null, at = target): Promise<unknown> =>
      restoreBackup({ url: at, folder, dataFolder }, silent).then(
        () => "restored",
        (error: Error) => error.message,
      );
    await mkdir(join(top, "empty"));
    expect(await refusal(join(top, "none"))).toContain("is no folder that can be read");
    expect(await refusal(join(top, "empty"))).toContain("is not a backup: it has no manifest.json");
    const torn = await changed((one) => one);
    const text = await readFile(join(torn, "manifest.json"), "utf8");
    await writeFile(join(torn, "manifest.json"), text.replace('"rows":', '"rows":1'));
    expect(await refusal(torn)).toContain("manifest.json that is damaged");
    await writeFile(join(torn, "manifest.json"), text.slice(0, 100));
    expect(await refusal(torn)).toContain("manifest.json that is damaged");
    await writeFile(join(torn, "manifest.json"), '{"schema":3}');
    expect(await refusal(torn)).toContain("is of format 3, and this release reads formats up to 2");
    const later = { number: 999, name: "0999-later.sql", sha256: "0".repeat(64) };
    const newer = await changed((one) => ({ ...one, migrations: [...one.migrations, later] }));
    expect(await refusal(newer)).toContain("schema 999 (0999-later.sql)");
    const large = await changed((one) => ({ ...one, databaseBytes: 2 ** 52 }));
    expect(await refusal(large, top)).toMatch(/^The database takes \d+ MiB more, and .* has \d+ MiB free\.$/);
    const nobody = "postgresql://user:hidden-word@127.0.0.1:1/none";
    expect(await refusal(whole, null, nobody)).toContain(
      "DATABASE_URL names 127.0.0.1:1/none, which cannot be reached",
    );
    await restore(whole, target);
  });
});

describe("taking a backup", () => {
  it("says what is wrong with where it is to go, and with what there is to take", async () => {
    await mkdir(join(top, "mine"));
    await writeFile(join(top, "mine", "thesis.txt"), "irreplaceable");
    await expect(take(join(top, "mine"))).rejects.toThrow("is a folder with something else in it");
    await expect(take(join(top, "mine", "thesis.txt", "b"))).rejects.toThrow("cannot be made (ENOTDIR)");
    await expect(take(whole)).rejects.toThrow("holds a whole backup of 2027-02-05T12:00:00.000Z already");
    await expect(take(join(top, "b"), await server.freshUrl())).rejects.toMatchObject({ code: "backup-nothing" });
  });

  it("goes on once a full disk has room again", async () => {
    const folder = join(top, "b");
    await cp(whole, folder, { recursive: true });
    await rm(join(folder, "manifest.json"));
    await writeFile(join(folder, "unfinished.jsonl"), "");
    const part = join(folder, "fact.00001.copy.zst.part");
    await symlink("/dev/full", part);
    await expect(take(folder)).rejects.toMatchObject({
      code: "disk-full",
      fix: expect.stringContaining("npm run backup"),
    });
    await unlink(part);
    expect((await take(folder)).kept).toBeGreaterThan(0);
    const target = await server.freshUrl();
    await restore(folder, target);
    expect(await contentsOf(target)).toEqual(contents);
  });
});
