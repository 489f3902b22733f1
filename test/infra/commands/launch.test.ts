import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkout } from "../../../infra/engine/environment.ts";

const file = join(checkout, "infra", "commands", "launch.mjs");
const launch = (...args: string[]) => spawnSync(process.execPath, [file, ...args], { encoding: "utf8" });

const { scripts } = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};
const commands = Object.values(scripts).flatMap((script) => /launch\.mjs (\S+)/.exec(script)?.[1] ?? []);

describe("the launcher", () => {
  it.each([...new Set(commands)])("shows how %s is used", (name) => {
    const ended = launch(name, "--help");
    expect(ended).toMatchObject({ status: 0, stderr: "" });
    expect(ended.stdout).toMatch(/^npm /);
  });

  it("names the commands for one that there is not, as bad input", () => {
    const ended = launch("upp");
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/^There is no command "upp"\. The commands are .*\bup\b.*\n$/);
  });

  it("takes an unknown option for bad input and shows how the command is used", () => {
    const ended = launch("up", "--fast");
    expect(ended.status).toBe(2);
    expect(ended.stderr).toContain("--fast");
    expect(ended.stderr).toContain("npm run up");
  });

  it("tells an older Node.js what to do, in words that it can read", () => {
    // The version is a property that a preloaded module can change; the syntax is held by the language level below.
    const older = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.18.0'})";
    const ended = spawnSync(process.execPath, ["--import", older, file, "up"], { encoding: "utf8" });
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(/^Node\.js 20\.18\.0 .* Run: npm ci --include=optional\n$/);
    expect(readFileSync(file, "utf8")).not.toMatch(/\?\?|\?\.|^(?:const .* = )?await /m);
  });
});
