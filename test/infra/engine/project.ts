import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../../infra/build.ts";
import { ensureCli } from "../../../infra/engine/cli.ts";
import { cacheFolder, checkout, ensureHome, type Home } from "../../../infra/engine/environment.ts";
import { processesOf, untilNothingRuns } from "../../harness/checkout.ts";

/** A Pulumi project of a test with a home folder of its own: a tiny program, and a provider whose resources take time. */
export interface Project {
  /** The folder of everything, with characters in its name that a shell or a URL would trip over. */
  readonly root: string;
  /** The project's folder. */
  readonly folder: string;
  readonly place: Home;
  /** What the provider was asked to do, a line each. */
  log(): string[];
  /** Replaces the program. */
  write(program: string): void;
  /** Runs `pulumi` as a user does: loads the `env` file into a shell, then what `npx pulumi` runs in the checkout. */
  pulumi(...args: readonly string[]): Promise<Ended>;
  /** Starts the same and returns the process of `npx pulumi`. */
  start(...args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> };
  /** Waits until nothing of the project runs and removes it. */
  remove(): Promise<void>;
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** A program with two resources of the package `gradientlab:kind`, each of which takes `gradientlab:ms` to make. */
const program = `
const pulumi = require("@pulumi/pulumi");
class Wait extends pulumi.CustomResource {
  constructor(name, ms) { super(kind + ":index:Wait", name, { name, ms }); }
}
const kind = new pulumi.Config().get("kind") ?? "timer";
const ms = new pulumi.Config().getNumber("ms") ?? 0;
console.log("the program says hello");
for (const name of ["one", "two"]) new Wait(name, ms);
exports.ms = ms;
exports.config = new pulumi.Config().getObject("fleet");
`;

export const stackFile = `# what the operator wrote above
config:
  gradientlab:fleet:
    # and inside
    schema: 1
    groups:
      second:
        count: 3 # beside
      first:
        count: 1
`;

/** Makes a project with the engine in place. \`HOME\` is a folder in it, so that nothing of the user's own is used. */
export async function makeProject(): Promise<Project> {
  const root = mkdtempSync(join(tmpdir(), "gl it's 100% #1 "));
  const folder = join(root, "project");
  const logFile = join(root, "provider.log");
  for (const name of ["bin", "plugin"]) mkdirSync(join(folder, name), { recursive: true });
  symlinkSync(join(checkout, "node_modules"), join(folder, "node_modules"));
  writeFileSync(
    join(folder, "Pulumi.yaml"),
    "name: gradientlab\nmain: bin/index.js\nruntime: {name: nodejs, options: {typescript: false}}\nplugins: {providers: [{name: timer, path: ./plugin}, {name: gradientlab, path: ./plugin}]}\n",
  );
  writeFileSync(join(folder, "Pulumi.dev.yaml"), stackFile);
  writeFileSync(join(folder, "bin", "package.json"), '{"type":"commonjs"}');
  writeFileSync(join(folder, "bin", "index.js"), program);
  cpSync(join(import.meta.dirname, "timer-plugin.cjs"), join(folder, "plugin", "timer-plugin.cjs"));
  for (const name of ["timer", "gradientlab"])
    writeFileSync(
      join(folder, "plugin", `pulumi-resource-${name}`),
      '#!/bin/sh\nexec node "$(dirname "$0")/timer-plugin.cjs" "$@"\n',
      { mode: 0o755 },
    );

  const { PULUMI_HOME: _, ...env } = process.env;
  const place = await ensureHome({
    ...env,
    HOME: join(root, "user"),
    GRADIENTLAB_HOME: join(root, "home"),
    TIMER_LOG: logFile,
  });
  // The cache is the user's: a build by Go takes minutes.
  const cli = { env: place.env, cache: cacheFolder(process.env) };
  await ensureCli(cli, () => undefined, build());

  const start: Project["start"] = (...args) => {
    const command = `. "$GRADIENTLAB_HOME/env" && exec ${process.execPath} ${join(checkout, "infra/engine/bin.mjs")} "$@"`;
    const child = spawn("sh", ["-c", command, "sh", ...args], {
      cwd: folder,
      env: { ...env, HOME: join(root, "user"), GRADIENTLAB_HOME: place.home, TIMER_LOG: logFile },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
      });
    const ended = new Promise<Ended>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, output }));
    });
    return { child, ended };
  };
  return {
    root,
    folder,
    place,
    log: () => (existsSync(logFile) ? readFileSync(logFile, "utf8").trim().split("\n") : []),
    write: (text) => writeFileSync(join(folder, "bin", "index.js"), text),
    start,
    pulumi: (...args) => start(...args).ended,
    async remove() {
      await untilNothingRuns(root);
      rmSync(root, { recursive: true });
    },
  };
}

/** Returns the processes of the project that run. */
export const running = (project: Project): string[] => processesOf(project.root);
