import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cliBinary } from "../../../infra/engine/cli.ts";
import { checkout, ensureHome, type Home } from "../../../infra/engine/environment.ts";

let folder: string;
let place: Home;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "gl-bin-"));
  place = await ensureHome({ PATH: process.env.PATH, HOME: folder, GRADIENTLAB_HOME: join(folder, "home") });
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs what `npx pulumi` runs in the checkout. */
function run(env: NodeJS.ProcessEnv, ...args: string[]) {
  const bin = join(checkout, "infra", "engine", "bin.mjs");
  return spawnSync(process.execPath, [bin, ...args], { env, cwd: folder, encoding: "utf8" });
}

/** Puts a stand-in for the engine in place that notes its arguments. */
function placeEngine(script: string): void {
  const binary = cliBinary(place.env);
  mkdirSync(join(binary, ".."), { recursive: true });
  writeFileSync(binary, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

const named = { PATH: process.env.PATH, HOME: "/nowhere" };

describe("npx pulumi in the checkout", () => {
  it("is what the root package offers under that name, so that npx prefers it", () => {
    const { bin } = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8"));
    expect(bin).toEqual({ pulumi: "infra/engine/bin.mjs" });
  });

  it("ends in one sentence naming the line to load, where the env file is not loaded", () => {
    placeEngine("echo must not run");
    const ended = run({ ...named, GRADIENTLAB_HOME: place.home }, "up");
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toMatch(/^[^\n]+ `\. home\/env` [^\n]+\n$/);
  });

  it("does not work with another PULUMI_HOME than the checkout's own", () => {
    placeEngine("echo must not run");
    const ended = run({ ...place.env, PULUMI_HOME: join(folder, ".pulumi") }, "up");
    expect(ended).toMatchObject({ status: 2, stdout: "" });
  });

  it("says what makes the engine where it is not in place, instead of downloading one", () => {
    const ended = run(place.env, "up");
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/^[^\n]+npm start or npm run up[^\n]+`\. home\/env`[^\n]+\n$/);
  });

  it("hands arguments, input, output and exit code through", () => {
    placeEngine('printf "%s|" "$@"; echo problem >&2; exit 37');
    const ended = run(place.env, "config", "set", "a b", "--", "-1");
    expect(ended).toMatchObject({ status: 37, stdout: "config|set|a b|--|-1|", stderr: "problem\n" });
  });

  it("ends by the signal that ended the engine", () => {
    placeEngine("kill -TERM $$");
    expect(run(place.env, "up").signal).toBe("SIGTERM");
  });
});
