import { type ChildProcess, execFile, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const source = join(import.meta.dirname, "..", "..");

/** Folders of compiled things: copied where they exist, so that a copy need not compile the same sources again. */
const compiled = ["infra/bin", "practice/bin", "collector/web/dist"];

/** A copy of this checkout in a temporary folder, as a user's own: with its own home folder, stack file and nodes. */
export interface Checkout {
  readonly folder: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs a shell command in it and returns its output; rejects with the output where it fails. */
  sh(command: string): Promise<string>;
  /** Starts `npm start` with these arguments. */
  start(...args: readonly string[]): RunningStart;
  /** Removes the fleet, waits until nothing runs, and removes the folder. Throws naming what was left running. */
  remove(): Promise<void>;
}

/** An `npm start` that was started by a test. */
export interface RunningStart {
  readonly child: ChildProcess;
  /** All that it printed so far. */
  output(): string;
  /** Resolves with the page's address; rejects with the output if it ends before. */
  readonly url: Promise<string>;
  readonly exited: Promise<number | null>;
  /** Presses Ctrl-C: SIGINT to its whole process group, as a terminal does. Resolves with the exit code. */
  interrupt(): Promise<number | null>;
}

/** What a copy may differ in from a fresh clone. */
export interface CopyOptions {
  /** The groups of the stack `dev`, in place of those that the checkout declares. */
  readonly groups?: Readonly<Record<string, unknown>>;
  /** What stands beside the groups. */
  readonly fleet?: Readonly<Record<string, unknown>>;
  /** Adds the copy's own `test/extra`: the test-only provider and the workload without a browser. */
  readonly extra?: boolean;
}

/** Copies the files that git knows or would take into a new temporary folder, and links the installed packages. */
export async function copyOfCheckout({ groups, fleet = {}, extra = false }: CopyOptions = {}): Promise<Checkout> {
  const folder = mkdtempSync(join(tmpdir(), "gl-"));
  const { stdout } = await run("git", ["ls-files", "-co", "--exclude-standard"], { cwd: source, maxBuffer: 1e7 });
  for (const file of stdout.trim().split("\n")) {
    if (!existsSync(join(source, file))) continue;
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(source, file), join(folder, file));
  }
  const { stdout: stack } = await run("git", ["show", "HEAD:Pulumi.dev.yaml"], { cwd: source });
  const declared =
    groups === undefined ? stack : JSON.stringify({ config: { "gradientlab:fleet": { schema: 1, groups, ...fleet } } });
  writeFileSync(join(folder, "Pulumi.dev.yaml"), declared);
  for (const made of compiled)
    if (existsSync(join(source, made))) cpSync(join(source, made), join(folder, made), { recursive: true });
  symlinkSync(join(source, "node_modules"), join(folder, "node_modules"));

  const home = join(folder, ".gradientlab");
  const { GRADIENTLAB_HOME: _, PULUMI_HOME: __, ...theirs } = process.env;
  const env = extra ? { ...theirs, GRADIENTLAB_EXTRA: join(folder, "test", "extra") } : theirs;
  const sh = async (command: string): Promise<string> => {
    try {
      const result = await run("bash", ["-c", command], { cwd: folder, env, maxBuffer: 1e8 });
      return result.stdout + result.stderr;
    } catch (error) {
      const failed = error as { code?: number; stdout?: string; stderr?: string };
      throw new Error(`${command} exited with ${failed.code}:\n${failed.stdout}${failed.stderr}`, { cause: error });
    }
  };
  return {
    folder,
    home,
    env,
    sh,
    start: (...args) => startIn(folder, env, args),
    async remove() {
      if (existsSync(home)) await sh("npm run --silent down");
      await untilNothingRuns(folder);
      rmSync(folder, { recursive: true });
    },
  };
}

function startIn(folder: string, env: NodeJS.ProcessEnv, args: readonly string[]): RunningStart {
  const child = spawn("npm", ["start", "--", ...args], {
    cwd: folder,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  let seen = (): void => undefined;
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      seen();
    });
  const exited = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
  const url = new Promise<string>((resolve, reject) => {
    seen = () => {
      const found = /dashboard at (http:\S+)/.exec(text);
      if (found?.[1] !== undefined) resolve(found[1]);
    };
    exited.then((code) => reject(new Error(`npm start ended with ${code}:\n${text}`)), reject);
  });
  url.catch(() => undefined);
  return {
    child,
    output: () => text,
    url,
    exited,
    interrupt() {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid, "SIGINT");
      return exited;
    },
  };
}

/** Returns the words of a process's command line, joined by spaces; empty where it is gone. */
export function commandLine(pid: number): string {
  return ignoringGone(() => readFileSync(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
}

/** Returns the process number `pid` and those of all its descendants. */
export function processTree(pid: number): number[] {
  const children = ignoringGone(() => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8"));
  return [
    pid,
    ...children
      .trim()
      .split(" ")
      .filter(Boolean)
      .flatMap((child) => processTree(Number(child))),
  ];
}

/**
 * Returns number and command line of the processes that work in `folder`, were started from it, or are shown it in a
 * mount namespace of their own.
 */
export function processesOf(folder: string): string[] {
  const shown = `/${basename(folder)}/`;
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    const read = (name: string): string => ignoringGone(() => readFileSync(`/proc/${pid}/${name}`, "utf8"));
    const words = commandLine(Number(pid));
    const cwd = ignoringGone(() => readlinkSync(`/proc/${pid}/cwd`));
    const inside = [words, read("environ"), `${cwd}/`].some((text) => text.includes(`${folder}/`));
    return inside || read("mountinfo").includes(shown) ? [`${pid} ${words.slice(0, 160)}`] : [];
  });
}

/** Reads what may vanish or be another user's while it is read: then it is nothing of ours. */
function ignoringGone(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "ESRCH", "EACCES", "EPERM", "EINVAL"].includes((error as NodeJS.ErrnoException).code ?? ""))
      return "";
    throw error;
  }
}

/** Waits until no process of `folder` runs; throws after 20 s naming those that do. */
export async function untilNothingRuns(folder: string): Promise<void> {
  await until(
    "every process to end",
    20_000,
    () => processesOf(folder).length === 0,
    () => processesOf(folder).join("\n"),
  );
}

/** Waits until `condition` holds, asking every 100 ms; throws after `ms` naming `what` and `state()`. */
export async function until(
  what: string,
  ms: number,
  condition: () => boolean | Promise<boolean>,
  state: () => unknown = () => "",
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}: ${await state()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
