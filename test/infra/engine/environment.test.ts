import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cacheFolder, checkout, ensureHome } from "../../../infra/engine/environment.ts";

let folder: string;
let home: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gl-env-"));
  home = join(folder, `it's a $HOME "folder" 50%`);
});
afterEach(() => rmSync(folder, { recursive: true }));

const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);
const make = (env: NodeJS.ProcessEnv = {}) => ensureHome({ HOME: folder, GRADIENTLAB_HOME: home, ...env });

/** Returns the environment of a shell that loaded the file `env`. */
function loaded(env: NodeJS.ProcessEnv = {}): Record<string, string> {
  const { stdout, stderr } = spawnSync("sh", ["-euc", '. "$1"; env -0', "sh", join(home, "env")], {
    env: { PATH: process.env.PATH, ...env },
    encoding: "utf8",
    cwd: "/",
  });
  expect(stderr).toBe("");
  return Object.fromEntries(
    stdout
      .split("\0")
      .filter(Boolean)
      .map((line) => line.split(/=(.*)/s, 2)),
  );
}

describe("the home folder", () => {
  it("is its owner's alone, with a passphrase that is made once", async () => {
    await make();
    const passphrase = readFileSync(join(home, "passphrase"), "utf8").trim();
    expect(passphrase.length).toBeGreaterThanOrEqual(32);
    expect([mode(home), mode(join(home, "passphrase")), mode(join(home, "env"))]).toEqual(["700", "600", "600"]);
    await Promise.all([make(), make(), make()]);
    expect(readFileSync(join(home, "passphrase"), "utf8").trim()).toBe(passphrase);
  });

  it("is closed again where it was open to others", async () => {
    mkdirSync(home);
    chmodSync(home, 0o755);
    await make();
    expect(mode(home)).toBe("700");
  });

  it("gets one passphrase from several processes at once", async () => {
    await Promise.all([make(), make(), make(), make()]);
    expect(readFileSync(join(home, "passphrase"), "utf8")).toMatch(/^[\w-]{32}\n$/);
  });

  it("is .gradientlab of the checkout where nothing else is said", () => {
    expect(cacheFolder({ HOME: "/home/someone" })).toBe("/home/someone/.cache/gradientlab");
    expect(cacheFolder({ HOME: "/home/someone", XDG_CACHE_HOME: "/var/cache/x" })).toBe("/var/cache/x/gradientlab");
    expect(cacheFolder({ HOME: "/home/someone", XDG_CACHE_HOME: "relative" })).toBe("/home/someone/.cache/gradientlab");
    expect(checkout).toBe(join(import.meta.dirname, "..", "..", ".."));
  });
});

describe("the env file", () => {
  it("sets the same in a shell as child processes get, whatever characters the folder's name has", async () => {
    const { env } = await make({ PULUMI_HOME: "/home/someone/.pulumi", PULUMI_BACKEND_URL: "s3://theirs" });
    const shell = loaded({ PULUMI_HOME: "/home/someone/.pulumi" });
    const ours = Object.keys(env).filter((name) => /^(PULUMI|GRADIENTLAB)_/.test(name));
    expect(ours.length).toBeGreaterThanOrEqual(6);
    for (const name of ours) expect([name, shell[name]]).toEqual([name, env[name]]);
    expect(shell.GRADIENTLAB_HOME).toBe(home);
    expect(shell.PULUMI_HOME).toBe(join(home, "pulumi-home"));
    expect(new URL(shell.PULUMI_BACKEND_URL ?? "").pathname).toContain("50%25/state");
  });

  it("takes away a passphrase variable of the user, which would stand over the file", async () => {
    const { env } = await make({ PULUMI_CONFIG_PASSPHRASE: "theirs" });
    expect(env.PULUMI_CONFIG_PASSPHRASE).toBeUndefined();
    expect(loaded({ PULUMI_CONFIG_PASSPHRASE: "theirs" }).PULUMI_CONFIG_PASSPHRASE).toBeUndefined();
  });
});
