import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { serverForFile } from "../../collector/database.ts";
import { contentsOf, live } from "../../collector/store/backup/lived-database.ts";

const checkout = join(import.meta.dirname, "..", "..", "..");
const server = serverForFile();
let home = "";

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "backup-command-"));
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

/** Runs a command of the project on the embedded database of `home`, or on the one at `url`. */
function command(args: readonly string[], url = ""): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, GRADIENTLAB_HOME: home, DATABASE_URL: url };
  return new Promise((resolve, reject) => {
    const file = join(checkout, "infra", "commands", "launch.mjs");
    execFile(process.execPath, [file, ...args], { cwd: checkout, env }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") return reject(error);
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe("npm run backup and npm run restore", () => {
  it("move the database from a server to the embedded one and back, and evidence verifies on the way", async () => {
    const { database, url } = await server.fresh();
    await live(database, url, 1);
    const contents = await contentsOf(url);
    const there = await command(["backup", "--to", join(home, "there"), "--json"], url);
    expect(there, there.stderr).toMatchObject({ code: 0 });
    expect(JSON.parse(there.stdout)).toMatchObject({ folder: join(home, "there"), kept: 0 });
    const restored = await command(["restore", "--from", join(home, "there")]);
    expect(restored.stdout, restored.stderr).toContain("The database is what was backed up.");
    const verified = await command(["verify"]);
    expect(verified.stdout, verified.stderr).toContain("All of it is as it was stored.");
    const back = await command(["backup", "--to", join(home, "back")]);
    expect(back.stdout, back.stderr).toContain(`The backup in ${join(home, "back")} is whole.`);
    const target = await server.freshUrl();
    expect(await command(["restore", "--from", join(home, "back")], target)).toMatchObject({ code: 0 });
    expect(await contentsOf(target)).toEqual(contents);
    const again = await command(["restore", "--from", join(home, "back")], target);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("The database is not empty") });
  });

  it("name what is missing on the command line", async () => {
    expect(await command(["backup"])).toMatchObject({ code: 2, stderr: expect.stringContaining("--to is missing.") });
    expect(await command(["restore"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--from is missing."),
    });
    const nothing = await command(["restore", "--from", join(home, "none")]);
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining("is no folder that can be read") });
  });
});

describe("npm run db:upgrade", () => {
  it("says that there is nothing to move, or that the server is not its own", async () => {
    expect(await command(["db-upgrade"])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("nothing to move"),
    });
    const own = await command(["db-upgrade"], "postgresql://user:hidden-word@127.0.0.1:1/none");
    expect(own).toMatchObject({ code: 2, stderr: expect.stringContaining("DATABASE_URL is set") });
    expect(own.stderr).not.toContain("hidden-word");
  });
});
