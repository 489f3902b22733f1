import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { build } from "../../infra/build.ts";
import { checkout } from "../../infra/engine/environment.ts";

const bin = join(checkout, "infra", "bin");
const load = createRequire(import.meta.url);
let folder: string;

beforeAll(async () => {
  await build();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gl-build-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Returns the first line of a process's output, and the process. */
async function firstLine(child: ChildProcessByStdio<Writable, Readable, null>): Promise<string> {
  for await (const chunk of child.stdout.setEncoding("utf8")) return String(chunk).split("\n", 1)[0] ?? "";
  throw new Error("it printed nothing");
}

describe("what is compiled", () => {
  it("is made once for the same sources", async () => {
    const { mtimeMs } = statSync(join(bin, "stamp"));
    expect(await build()).toBe(false);
    expect(statSync(join(bin, "stamp")).mtimeMs).toBe(mtimeMs);
  });

  it("holds every provider's facts as CommonJS, which load no SDK", () => {
    const sources = join(checkout, "infra", "providers");
    const providers = readdirSync(sources).filter((name) => existsSync(join(sources, name, "facts.ts")));
    expect(providers.length).toBeGreaterThan(0);
    const script = `const [file] = process.argv.slice(1);
      const { facts } = require(file);
      const sdk = Object.keys(require.cache).filter((name) => name.includes("@pulumi"));
      process.stdout.write(JSON.stringify([facts.name, sdk]));`;
    for (const name of providers) {
      const { stdout } = spawnSync(process.execPath, ["-e", script, join(bin, "providers", name, "facts.js")]);
      expect(JSON.parse(stdout.toString())).toEqual([name, []]);
      expect(existsSync(join(bin, "providers", name, "declare.js"))).toBe(true);
    }
    expect(load(join(bin, "package.json"))).toMatchObject({ type: "commonjs" });
  });

  it("holds a plugin that the engine starts by its name, and that ends with it", async () => {
    const child = spawn(join(bin, "plugin", "pulumi-resource-gradientlab"), ["127.0.0.1:1"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    expect(Number(await firstLine(child))).toBeGreaterThan(1023);
    child.kill("SIGINT");
    await ended;
  });

  it("holds a language host that ends when the engine's end of its input closes", async () => {
    const file = join(folder, "host.cjs");
    cpSync(join(bin, "engine", "language-host.cjs"), file);
    const child = spawn(process.execPath, [file, "127.0.0.1:1"], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = new Promise((resolve) => child.on("close", resolve));
    expect(Number(await firstLine(child))).toBeGreaterThan(1023);
    child.stdin.end();
    expect(await ended).toBe(0);
  });

  it("holds an agent in one small file that needs nothing beside it", () => {
    const file = join(folder, "agent.cjs");
    cpSync(join(bin, "node", "agent.cjs"), file);
    expect(statSync(file).size).toBeLessThan(200_000);
    const ended = spawnSync(process.execPath, [file, "no-such-verb"], { cwd: folder, encoding: "utf8", env: {} });
    // The agent's own exit code for a wrong word: it was loaded whole.
    expect(ended.status).toBe(64);
  });
});
