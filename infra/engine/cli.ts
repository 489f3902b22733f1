import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  access,
  constants,
  copyFile,
  link,
  lstat,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { ExplainedError } from "../problem.ts";
import { checkout, cliVersion, writeEnvironment } from "./environment.ts";
import { lockWhenFree } from "./lock.ts";

const run = promisify(execFile);

/** Where the official download comes from; asked only whether it can be reached. */
const releases = "https://get.pulumi.com/install.sh";

const toolModule = join(checkout, "infra", "engine", "cli");
const hostBundle = join(checkout, "infra", "bin", "engine", "language-host.cjs");

/**
 * What `ensureCli` works with: the checkout's environment (`PULUMI_HOME` in it), the cache of all checkouts, and a signal
 * that ends a download or a build.
 */
export interface CliPlace {
  readonly env: NodeJS.ProcessEnv;
  readonly cache: string;
  readonly signal?: AbortSignal;
}

/** Downloads the official tool into `PULUMI_HOME`. Returns why it could not, or `undefined` where it is there now. */
export type Download = (
  env: NodeJS.ProcessEnv,
  say: (text: string) => void,
  signal: AbortSignal,
) => Promise<string | undefined>;

/** Returns the folder in which npm's `pulumi` looks for the command line tool. */
function versionFolder(env: NodeJS.ProcessEnv): string {
  if (env.PULUMI_HOME === undefined) throw new Error("PULUMI_HOME is not set");
  return join(env.PULUMI_HOME, "versions", cliVersion);
}

/** Returns the path of the command line tool that `ensureCli` puts in place. */
export function cliBinary(env: NodeJS.ProcessEnv): string {
  return join(versionFolder(env), "bin", "pulumi");
}

/**
 * Returns whether the engine has to be built by Go here: it is neither in place, nor in the cache, nor to be had by
 * download. Waits at most five seconds for the download's server.
 */
export async function goNeeded(place: CliPlace): Promise<boolean> {
  if ((await isOfficial(place.env)) || (await isExecutable(join(await builtFolder(place.cache), "pulumi"))))
    return false;
  // In a process of its own, because Node.js reads the proxy settings of the environment only when it starts.
  const ask = `fetch(${JSON.stringify(releases)}, { method: "HEAD", signal: AbortSignal.timeout(5000) })
    .then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))`;
  const child = spawn(process.execPath, ["-e", ask], { env: withProxy(place.env), stdio: "ignore" });
  return (await ended(child)) !== 0;
}

function withProxy(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, NODE_USE_ENV_PROXY: "1" };
}

/**
 * Puts the Pulumi command line tool where npm's `pulumi` finds it: the official download where that can be had, else
 * the same version built by Go, with our language host beside it. Returns how it came to be there, for people.
 * `say` hears what is being done, at least every ten seconds; `compiled` is waited for before the language host, which
 * is compiled with the program, is put in place. Throws `ExplainedError` where neither way works.
 */
export async function ensureCli(
  place: CliPlace,
  say: (text: string) => void,
  compiled: Promise<unknown>,
  download: Download = npmDownload,
): Promise<string> {
  if (await isOfficial(place.env)) return `Pulumi ${cliVersion}`;
  const built = await builtFolder(place.cache);
  const signal = place.signal ?? new AbortController().signal;
  if (!(await isExecutable(join(built, "pulumi")))) {
    await mkdir(place.cache, { recursive: true, mode: 0o700 });
    const release = await lockWhenFree(`${built}.lock`, () => {
      signal.throwIfAborted();
      say("another process is fetching or building it");
    });
    try {
      if (!(await isExecutable(join(built, "pulumi")))) {
        if (await isOfficial(place.env)) return `Pulumi ${cliVersion}`;
        const refused = await download(place.env, say, signal);
        signal.throwIfAborted();
        if (refused === undefined) {
          await writeEnvironment(place.env);
          return `Pulumi ${cliVersion}, downloaded`;
        }
        await buildCli(built, place.env, say, refused, signal);
      }
    } finally {
      release();
    }
  }
  await compiled;
  await placeBuilt(built, versionFolder(place.env), place.cache);
  await writeEnvironment(place.env);
  return `Pulumi ${cliVersion}, built by Go`;
}

/** Lets npm's `pulumi` download its own version. It fails at once where the network refuses. */
async function npmDownload(
  env: NodeJS.ProcessEnv,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  // Half a download, or a link to a cache that is gone, would stand in its way.
  await rm(versionFolder(env), { recursive: true, force: true });
  const script = join(checkout, "node_modules", "pulumi", "run.js");
  const child = spawn(process.execPath, [script, "version"], {
    env: { ...withProxy(env), PULUMI_VERSION: cliVersion },
    stdio: ["ignore", "ignore", "pipe"],
    signal: AbortSignal.any([signal, AbortSignal.timeout(600_000)]),
  });
  const doing = ticking(say, () => `downloading Pulumi ${cliVersion}`);
  try {
    const [code, said] = await Promise.all([ended(child), lastLines(child.stderr, 5, () => undefined)]);
    if (code === 0 && (await isOfficial(env))) return undefined;
    await rm(versionFolder(env), { recursive: true, force: true });
    return said.at(-1) ?? `npm's pulumi ended with exit code ${code}`;
  } finally {
    doing.stop();
  }
}

/** True where the official download lies in place: unlike ours, it brings the hosts of other languages. */
async function isOfficial(env: NodeJS.ProcessEnv): Promise<boolean> {
  const host = join(versionFolder(env), "bin", "pulumi-language-go");
  return (await isExecutable(cliBinary(env))) && (await isExecutable(host));
}

async function builtFolder(cache: string): Promise<string> {
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum"]) hash.update(await readFile(join(toolModule, file)));
  return join(cache, `pulumi-${cliVersion}-${hash.digest("hex").slice(0, 12)}`);
}

/**
 * Links the built tool and the language host of this checkout into one folder of the cache, named by the host's hash so
 * that no checkout runs another one's host, and points `versions/<version>/bin` at it: the engine looks for the
 * language host in the folder of its own binary, links resolved.
 */
async function placeBuilt(built: string, versions: string, cache: string): Promise<void> {
  const host = await readFile(hostBundle);
  const folder = join(cache, `engine-${cliVersion}-${createHash("sha256").update(host).digest("hex").slice(0, 12)}`);
  if (!(await isExecutable(join(folder, "pulumi")))) {
    const part = `${folder}.${process.pid}`;
    await rm(part, { recursive: true, force: true });
    await mkdir(part, { recursive: true, mode: 0o700 });
    await linkOrCopy(join(built, "pulumi"), join(part, "pulumi"));
    await writeFile(join(part, "language-host.cjs"), host);
    const script = '#!/bin/sh\nexec node "$(dirname "$0")/language-host.cjs" "$@"\n';
    await writeFile(join(part, "pulumi-language-nodejs"), script, { mode: 0o755 });
    await moveInto(part, folder);
  }
  await mkdir(versions, { recursive: true, mode: 0o700 });
  const bin = join(versions, "bin");
  // What an interrupted download left: a link can take the place of another link, not of a folder.
  if ((await lstat(bin).catch(missing))?.isDirectory()) await rm(bin, { recursive: true });
  const part = join(versions, `bin.${process.pid}`);
  await rm(part, { force: true });
  await symlink(folder, part);
  await rename(part, bin);
}

/** Renames a finished folder to its place; where another process was faster, its folder is as good. */
async function moveInto(part: string, folder: string): Promise<void> {
  try {
    await rename(part, folder);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    await rm(part, { recursive: true });
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // Some file systems know no hard links.
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EMLINK") throw error;
    await copyFile(from, to);
  }
}

/** Turns "no such file" into `undefined`; throws any other error on. */
function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/** Builds the tool into the folder `built`, whole or not at all. An interrupted build goes on from what it has. */
async function buildCli(
  built: string,
  env: NodeJS.ProcessEnv,
  say: (text: string) => void,
  refused: string,
  signal: AbortSignal,
): Promise<void> {
  const lack = await goLack(env);
  if (lack !== undefined)
    throw new ExplainedError(
      "no-engine",
      `The Pulumi command line tool ${cliVersion} could not be downloaded (${refused}), and ${lack}.`,
      `Connect to the internet, or install Go: ${await goInstallation()}`,
    );
  const work = `${built}.work`;
  const module = join(work, "module");
  await mkdir(module, { recursive: true, mode: 0o700 });
  for (const file of ["go.mod", "go.sum"]) await copyFile(join(toolModule, file), join(module, file));
  let fetched = 0;
  let compiled = 0;
  const doing = ticking(say, () =>
    compiled > 0
      ? `compiling it, once for this machine: ${compiled} packages so far`
      : `fetching its modules: ${fetched} so far`,
  );
  try {
    const version = `github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${cliVersion}`;
    // As flags, which stand over the user's GOFLAGS and leave the rest of them in force. Without -modcacherw the module
    // cache is read-only and could not be removed.
    const args = ["build", "-v", "-mod=readonly", "-modcacherw", "-buildvcs=false", "-trimpath"];
    args.push("-tags", "osusergo,grpcnotrace", "-ldflags", `-s -w -X ${version}`, "-o", join(work, "pulumi"));
    const child = spawn("go", [...args, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"], {
      cwd: module,
      env: {
        ...env,
        CGO_ENABLED: "0",
        GOWORK: "off",
        GOOS: "linux",
        GOARCH: goArch,
        GOCACHE: join(work, "cache"),
        GOMODCACHE: join(work, "modules"),
      },
      stdio: ["ignore", "ignore", "pipe"],
      signal,
      // Go ends its compilers on it.
      killSignal: "SIGINT",
    });
    const count = (line: string): void => {
      if (line.startsWith("go: downloading")) fetched++;
      else if (/^[a-z0-9.-]+(\/|$)/.test(line)) compiled++;
    };
    const [code, said] = await Promise.all([ended(child), lastLines(child.stderr, 20, count)]);
    signal.throwIfAborted();
    if (code !== 0)
      throw new ExplainedError(
        "engine-build",
        `Go could not build the Pulumi command line tool:\n${said.join("\n")}`,
        "Mend what Go names and start again; what it fetched and compiled so far is kept.",
      );
  } finally {
    doing.stop();
  }
  const { stdout } = await run(join(work, "pulumi"), ["version"], { env });
  if (stdout.trim() !== `v${cliVersion}`) throw new Error(`The tool that Go built says that it is ${stdout.trim()}.`);
  const part = `${built}.${process.pid}`;
  await mkdir(part, { recursive: true, mode: 0o700 });
  await rename(join(work, "pulumi"), join(part, "pulumi"));
  await moveInto(part, built);
  await rm(work, { recursive: true });
}

const goArch = process.arch === "x64" ? "amd64" : process.arch;

/** Returns what is wrong with this machine's Go, or `undefined` where it can build the tool. */
async function goLack(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const version = await goVersion(env);
  if (version === undefined) return "Go, which could build it, is not on PATH";
  const needed = await goNeededVersion();
  if (compareVersions(version, "1.25") < 0) return `Go, which could build it, is ${version}, older than 1.25`;
  if (compareVersions(version, needed) >= 0) return undefined;
  const { stdout } = await run("go", ["env", "GOTOOLCHAIN"], { env, cwd: "/" });
  return /^local$/.test(stdout.trim())
    ? `Go, which could build it, is ${version}, older than ${needed}, and may not fetch a newer one (GOTOOLCHAIN=local)`
    : undefined;
}

async function goVersion(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    const { stdout } = await run("go", ["version"], { env, cwd: "/" });
    return /go(\d+\.\d+(?:\.\d+)?)/.exec(stdout)?.[1];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Returns the version of Go that the tool module asks for. */
async function goNeededVersion(): Promise<string> {
  const version = /^go (\S+)$/m.exec(await readFile(join(toolModule, "go.mod"), "utf8"))?.[1];
  if (version === undefined) throw new Error("go.mod names no version of Go");
  return version;
}

async function goInstallation(): Promise<string> {
  const sudo = process.getuid?.() === 0 ? "" : "sudo ";
  const archive = `https://go.dev/dl/go${await goNeededVersion()}.linux-${goArch}.tar.gz`;
  return `curl -fL ${archive} | ${sudo}tar -C /usr/local -xz && export PATH=/usr/local/go/bin:$PATH`;
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  const at = [0, 1, 2].find((i) => (left?.[i] ?? 0) !== (right?.[i] ?? 0)) ?? 0;
  return (left?.[at] ?? 0) - (right?.[at] ?? 0);
}

/** Says what is being done, now and every eight seconds, with the time it has taken. */
function ticking(say: (text: string) => void, what: () => string): { stop(): void } {
  const start = performance.now();
  say(what());
  const timer = setInterval(() => say(`${what()}, ${Math.round((performance.now() - start) / 1000)} s`), 8000);
  return { stop: () => clearInterval(timer) };
}

/** Returns the exit code of `child`, `null` where a signal ended it. Throws where it cannot be started. */
function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) => (error.name === "AbortError" ? resolve(null) : reject(error)));
    child.on("close", resolve);
  });
}

/** Returns the last lines of `stream` when it has ended; `hear` gets every line as it comes. */
async function lastLines(
  stream: NodeJS.ReadableStream,
  count: number,
  hear: (line: string) => void,
): Promise<readonly string[]> {
  const tail: string[] = [];
  for await (const line of createInterface({ input: stream })) {
    hear(line);
    tail.push(line);
    if (tail.length > count) tail.shift();
  }
  return tail;
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES") return false;
    throw error;
  }
}
