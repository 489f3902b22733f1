import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import {
  chmod,
  chown,
  copyFile,
  lchown,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { requestAction } from "../../../../cloud-init/agent/action.ts";
import { LockBusy, takeFlock } from "../../../../cloud-init/agent/flock.ts";
import {
  makeNodeFolders,
  type NodeFile,
  nodePaths,
  readJson,
  type UnitsFile,
  writeJson,
} from "../../../../cloud-init/agent/folder.ts";
import { journalExtent, readJournal } from "../../../../cloud-init/agent/journal.ts";
import { lockIsHeld } from "../../../../cloud-init/agent/liveness.ts";
import { logTail } from "../../../../cloud-init/agent/logs.ts";
import { browserPolicy, updateManifest } from "../../../../cloud-init/workloads/sentry/policy.ts";
import { type Browser, findBrowser } from "../../../browser.ts";
import {
  type Account,
  accountFor,
  findIsolation,
  type Isolation,
  isolatedCommand,
  type Mount,
} from "../../../isolation.ts";
import { BadInput, ExplainedError, problemsOf } from "../../../problem.ts";
import { type ProcessIdentity, stillRuns } from "../../../process-identity.ts";
import { unpackExtension } from "./crx.ts";
import type { Launch } from "./launch.ts";
import { GroupSpec } from "./spec.ts";

export { GroupSpec } from "./spec.ts";

/** A group that runs. `note` is a sentence for the user where the machine did not give full isolation, else null. */
export interface Started {
  readonly machineId: string;
  readonly note: string | null;
}

/** What a start depends on; tests give their own. */
export interface StartOptions {
  /** Gets a line for each step that takes long. */
  readonly say?: (line: string) => void;
  /** The folder of the built `agent.cjs` and `supervisor.cjs`. */
  readonly artefacts?: string;
  readonly isolation?: Isolation;
  readonly browser?: Browser;
  readonly startMs?: number;
}

/** What `supervisor.json` holds: the outermost process of the group, whose end ends all others. */
export interface GroupIdentity extends ProcessIdentity {
  readonly startedAt: string;
}

const viewInNamespace = "/etc/gradientlab/node";
const runtimeInNamespace = "/etc/gradientlab/runtime";
const browserInNamespace = "/etc/gradientlab/browser";
/** Where folders go that an account has to reach and no namespace can show it. */
const sharedState = "/var/lib/gradientlab";

/**
 * Starts the group of `spec` in `directory` and returns when its supervisor and all its units run. A folder that is
 * there is adopted, with its profile, journal and machine id; a group that runs there already with the same spec is
 * left running, with another one it is restarted. `home` holds `accounts.json`.
 * Throws `BadInput` for a bad spec; `ExplainedError` with the code `group-busy` (another start is under way),
 * `group-foreign` (the folder is another key's), `group-failed` (a unit does not stay up; the message quotes its log),
 * `not-built`, `no-browser`, `no-account`.
 */
export async function startGroup(
  home: string,
  directory: string,
  spec: GroupSpec,
  options: StartOptions = {},
): Promise<Started> {
  const wanted = checked(spec);
  const isolation = options.isolation ?? (await findIsolation());
  await mkdir(dirname(directory), { recursive: true, mode: 0o700 });
  const real = await placeFolder(directory, isolation);
  const release = lockStart(real);
  try {
    const before = await readSpec(real);
    if (before !== undefined && before.key !== wanted.key)
      throw new ExplainedError(
        "group-foreign",
        `${directory} holds the node ${before.key}, not ${wanted.key}.`,
        "Remove that folder, or use another home folder.",
      );
    const node: GroupSpec = { ...wanted, machineId: before?.machineId ?? wanted.machineId };
    if (lockIsHeld(nodePaths(real).lock)) {
      const up = readJson<UnitsFile>(nodePaths(real).units)?.phase === "up";
      if (up && (await groupAlive(real)) && JSON.stringify(before) === JSON.stringify(node))
        return { machineId: node.machineId, note: isolation.note };
      await stopGroup(real, { deadlineMs: 30_000 });
    }
    await start(home, real, node, isolation, options);
    return { machineId: node.machineId, note: isolation.note };
  } finally {
    release();
  }
}

/**
 * Stops the group of `directory` and returns when nothing of it lives. Its units are asked first, so that a browser
 * writes its profile; what is left at the deadline is killed. A group that does not run is no mistake.
 * Throws `group-stuck` where a process cannot even be killed.
 */
export async function stopGroup(directory: string, { deadlineMs }: { readonly deadlineMs: number }): Promise<void> {
  const { lock } = nodePaths(directory);
  if (!lockIsHeld(lock)) return;
  const until = performance.now() + deadlineMs;
  await requestAction(
    directory,
    { id: `stop-${process.pid}-${Date.now()}`, verb: "stop" },
    { alive: () => lockIsHeld(lock), waitMs: deadlineMs },
  );
  if (await lockFreed(lock, until - performance.now())) return;
  const outer = groupIdentity(directory);
  if (outer !== undefined && stillRuns(outer)) process.kill(outer.pid, "SIGKILL");
  if (await lockFreed(lock, 5000)) return;
  for (const pid of await lockHolders(lock)) process.kill(pid, "SIGKILL");
  if (await lockFreed(lock, 5000)) return;
  throw new ExplainedError(
    "group-stuck",
    `Processes of ${directory} could not be ended: ${(await lockHolders(lock)).join(", ")}.`,
    "End them by hand, or restart the machine.",
  );
}

/** Returns whether the group of `directory` runs: its outermost process is the very one that was noted, and it holds the lock. */
export async function groupAlive(directory: string): Promise<boolean> {
  const outer = groupIdentity(directory);
  return outer !== undefined && stillRuns(outer) && lockIsHeld(nodePaths(directory).lock);
}

/** Returns who the outermost process of the group is or was, or `undefined` where none was ever started. */
export function groupIdentity(directory: string): GroupIdentity | undefined {
  return readJson<GroupIdentity>(nodePaths(directory).supervisor);
}

/** Returns the spec that stands in the folder, or `undefined` where there is none. Throws `BadInput` where it is broken. */
export async function readSpec(directory: string): Promise<GroupSpec | undefined> {
  const value = readJson<unknown>(nodePaths(directory).node);
  return value === undefined ? undefined : checked(value);
}

/** What a drained journal held. */
export interface Drained {
  readonly journal: string;
  readonly lines: number;
}

/**
 * Writes all that the group's journal still holds to `spoolFile`, as an answer of `samples` whose header also names the
 * node (`key`, `machineId`), and returns what it was; `undefined`, and no file, where no journal was begun. The file is
 * whole and on disk when this returns, or not there under its name.
 */
export async function drainJournal(directory: string, spoolFile: string): Promise<Drained | undefined> {
  const node = await readSpec(directory);
  const folder = nodePaths(directory).journal;
  const extent = existsSync(folder) ? journalExtent(folder) : undefined;
  if (node === undefined || extent === undefined) return undefined;
  await mkdir(dirname(spoolFile), { recursive: true, mode: 0o700 });
  const part = `${spoolFile}.part`;
  const file = await open(part, "w", 0o600);
  let lines = 0;
  try {
    const { journal, first, last } = extent;
    const now = new Date().toISOString();
    await file.write(`${JSON.stringify({ journal, first, last, now, key: node.key, machineId: node.machineId })}\n`);
    for (let n = 0, more = true; more; ) {
      const read = readJournal(folder, { journal, n }, 1024 * 1024);
      if (read === undefined || read.journal !== journal)
        throw new Error(`${folder} was replaced while it was drained.`);
      if (read.lines.length > 0) await file.write(`${read.lines.join("\n")}\n`);
      lines += read.lines.length;
      n = read.through;
      more = read.more;
    }
    await file.write(`${JSON.stringify({ end: true, count: lines, more: false })}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, spoolFile);
  const folderHandle = await open(dirname(spoolFile), "r");
  try {
    await folderHandle.sync();
  } finally {
    await folderHandle.close();
  }
  return { journal: extent.journal, lines };
}

/**
 * Removes the folder of a group that does not run, and its parent where that is empty then. A folder that is not there
 * is no mistake. Throws `group-running` where something of the group lives.
 */
export async function removeGroup(directory: string): Promise<void> {
  if (lockIsHeld(nodePaths(directory).lock))
    throw new ExplainedError("group-running", `Processes of ${directory} still run.`, "Stop the group first.");
  const target = await linkTarget(directory);
  if (target !== undefined) await rm(target, { recursive: true, force: true });
  await rm(directory, { recursive: true, force: true });
  try {
    await rmdir(dirname(directory));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") throw error;
  }
}

function checked(value: unknown): GroupSpec {
  const parsed = GroupSpec.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BadInput("The spec of the group", problemsOf(parsed.error, value, "node"));
}

function lockStart(directory: string): () => void {
  try {
    return takeFlock(join(directory, "starting"), "exclusive", 0);
  } catch (error) {
    if (!(error instanceof LockBusy)) throw error;
    throw new ExplainedError(
      "group-busy",
      `Another start of ${directory} is under way.`,
      "Wait until it has ended; the group is started once.",
    );
  }
}

/**
 * Makes the group's folder and returns its real path. As root without a mount namespace it lies where an account of
 * its own can reach it, and the name in the home folder is a link to it.
 */
async function placeFolder(directory: string, isolation: Isolation): Promise<string> {
  if (process.getuid?.() !== 0 || isolation.mount) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return await realpath(directory);
  }
  const place = join(sharedState, createHash("sha256").update(directory).digest("hex").slice(0, 16));
  if ((await linkTarget(directory)) === undefined) {
    await mkdir(sharedState, { recursive: true, mode: 0o711 });
    if (existsSync(directory)) await moveFolder(directory, place);
    else await mkdir(place, { recursive: true, mode: 0o711 });
    await symlink(place, directory);
  }
  return await realpath(directory);
}

async function moveFolder(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
    throw new ExplainedError(
      "group-place",
      `${from} was made with a mount namespace and lies on another disk than ${to}.`,
      `Move it there by hand, or allow mount namespaces again.`,
    );
  }
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EINVAL" || code === "ENOENT") return undefined;
    throw error;
  }
}

async function start(
  home: string,
  directory: string,
  node: GroupSpec,
  isolation: Isolation,
  options: StartOptions,
): Promise<void> {
  const say = options.say ?? (() => undefined);
  const root = process.getuid?.() === 0;
  const account =
    root && node.units.some((unit) => unit.account === "unprivileged")
      ? await accountFor(home, "browser", isolation, say)
      : null;
  const browser = node.needs.includes("browser") ? (options.browser ?? (await findBrowser({ say }))) : null;
  const view = isolation.mount ? viewInNamespace : directory;
  const seen = await visible(isolation, account, browser);
  const switches = await prepareFolder(directory, view, node, account, isolation, browser, options);

  const paths = nodePaths(directory);
  const launch: Launch = {
    schema: 1,
    view,
    runtime: seen.runtime,
    browser: seen.browser,
    browserSwitches: switches,
    account,
    ownProcesses: isolation.pid,
  };
  writeJson(paths.launch, launch);
  writeJson(paths.node, node);

  const argv = await isolatedCommand({
    isolation,
    folder: directory,
    mounts: isolation.mount
      ? [
          { from: directory, to: view },
          ...seen.mounts,
          ...(browser === null ? [] : [{ from: join(directory, "policies"), to: browser.policyFolder }]),
        ]
      : [],
    accounts: account === null || !isolation.mount ? [] : [account],
    account: null,
    argv: [
      "sh",
      "-c",
      keepRunning,
      "supervise",
      isolation.pid ? "own" : "shared",
      ...supervisorWords(seen.runtime, view),
    ],
  });
  await launchGroup(directory, argv, node, options.startMs ?? 60_000);
}

/** A small heap: a supervisor does little, and there is one for each node. */
function supervisorWords(runtime: string, view: string): readonly string[] {
  return [runtime, "--max-semi-space-size=1", "--max-old-space-size=64", join(view, "supervisor.cjs"), view];
}

/**
 * The first process of the group's own tree, in a shell because nothing smaller reaps what it is left with. It hands
 * on SIGTERM, starts the supervisor again when it died (after ending all that it had started) or asked for it (86).
 */
const keepRunning = `own=$1; shift; stopping=
trap 'stopping=1; kill -TERM "$child"' TERM INT HUP
while :; do
  if [ "$own" = own ]; then "$@" & else setpriv --pdeathsig=KILL -- "$@" & fi
  child=$!
  while :; do wait "$child"; code=$?; kill -0 "$child" 2>/dev/null || break; done
  [ "$code" = 0 ] && exit 0
  [ "$own" = own ] && kill -KILL -1 2>/dev/null
  [ -n "$stopping" ] && exit "$code"
  [ "$code" = 86 ] || { echo "The supervisor ended with code $code; it is started again." >&2; sleep 2; }
done`;

/**
 * Notes who the outermost process is, once it holds the lock, and becomes it. Field 22 of /proc/<pid>/stat is the
 * start in clock ticks; the name in brackets before may hold anything.
 */
const noteIdentity = `file=$1; shift
stat=$(cat "/proc/$$/stat")
ticks() { shift 19; echo "$1"; }
printf '{"pid":%s,"startTicks":"%s","bootId":"%s","startedAt":"%s"}\\n' "$$" "$(ticks \${stat##*) })" \\
  "$(cat /proc/sys/kernel/random/boot_id)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > "$file.part"
mv "$file.part" "$file"
exec "$@"`;

async function launchGroup(
  directory: string,
  argv: readonly string[],
  node: GroupSpec,
  startMs: number,
): Promise<void> {
  const paths = nodePaths(directory);
  const begun = new Date().toISOString();
  const log = await open(paths.log("supervisor"), "a", 0o600);
  const from = (await log.stat()).size;
  const child = spawn(
    "flock",
    // A moment's wait, because looking whether the lock is held takes it for that long.
    ["-F", "-w", "2", "-E", "75", paths.lock, "sh", "-c", noteIdentity, "group", paths.supervisor, ...argv],
    { cwd: directory, detached: true, stdio: ["ignore", log.fd, log.fd], env: plainEnvironment() },
  );
  let ended: string | undefined;
  child.once("error", (error) => {
    ended = error.message;
  });
  child.once("exit", (code, signal) => {
    ended = code === 75 ? "its lock is held by another process" : (signal ?? `exit code ${code}`);
  });
  await log.close();
  // The group outlives whoever started it.
  child.unref();

  const deadline = performance.now() + startMs;
  for (;;) {
    const units = readJson<UnitsFile>(paths.units);
    const ours = units !== undefined && units.supervisor.startedAt >= begun ? units : undefined;
    if (ours?.phase === "up" && ended === undefined) return;
    const failing = ours?.units.find(({ state, lastExit }) => state === "waiting" && lastExit !== null);
    const why =
      ended !== undefined
        ? `it ended (${ended})`
        : failing !== undefined && performance.now() > deadline - startMs * 0.7
          ? `its unit ${failing.name} does not stay up`
          : performance.now() > deadline
            ? `it was not up after ${startMs / 1000} s`
            : undefined;
    if (why !== undefined) {
      const said = logTail(directory, node as NodeFile, failing?.name ?? "supervisor", 8) ?? [];
      const fresh = failing === undefined && (await stat(paths.log("supervisor"))).size === from ? [] : said;
      await stopGroup(directory, { deadlineMs: 5000 });
      throw new ExplainedError(
        "group-failed",
        `${node.key} did not start: ${why}.${fresh.length === 0 ? "" : ` It said: ${fresh.join(" / ").slice(-800)}`}`,
        sandboxFix(fresh) ?? `Its logs are in ${paths.logs}.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function sandboxFix(lines: readonly string[]): string | undefined {
  return lines.some((line) => /No usable sandbox|Operation not permitted.*(namespace|sandbox)|zygote_host/i.test(line))
    ? "The browser's sandbox needs user namespaces: run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` where AppArmor forbids them, or install Google Chrome, which AppArmor allows them; in a container, run it with --privileged."
    : undefined;
}

/** Nothing of the caller's environment but what any program needs: it may hold credentials. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

interface Visible {
  readonly runtime: string;
  readonly browser: string | null;
  readonly mounts: readonly Mount[];
}

/** Where the binaries are for the group's account, which cannot reach what lies below a folder of root's own. */
async function visible(isolation: Isolation, account: Account | null, browser: Browser | null): Promise<Visible> {
  const runtime = await realpath(process.execPath);
  if (account === null) return { runtime, browser: browser?.path ?? null, mounts: [] };
  const mounts: Mount[] = [];
  const show = async (path: string, from: string, to: string): Promise<string> => {
    if (await reachableByAll(path)) return path;
    if (!isolation.mount)
      throw new ExplainedError(
        "unreachable",
        `${path} lies where only root may enter, and no mount namespace is to be had to show it to the account ${account.name}.`,
        "Install it for all users, or allow mount namespaces.",
      );
    mounts.push({ from, to });
    return path === from ? to : join(to, path.slice(from.length));
  };
  return {
    runtime: await show(runtime, runtime, runtimeInNamespace),
    browser: browser === null ? null : await show(browser.path, dirname(browser.path), browserInNamespace),
    mounts,
  };
}

async function reachableByAll(path: string): Promise<boolean> {
  for (let at = path; at !== "/"; at = dirname(at)) if (((await stat(at)).mode & 0o001) === 0) return false;
  return true;
}

/** Fills the group's folder with all that its processes need and returns the switches the browser needs for it. */
async function prepareFolder(
  directory: string,
  view: string,
  node: GroupSpec,
  account: Account | null,
  isolation: Isolation,
  browser: Browser | null,
  options: StartOptions,
): Promise<readonly string[]> {
  // The account passes through the folder to its own parts; everything else in it is for its owner only.
  await chmod(directory, account === null ? 0o700 : 0o711);
  makeNodeFolders(directory);
  const artefacts = options.artefacts ?? builtArtefacts();
  for (const name of ["agent.cjs", "supervisor.cjs"]) await replaceFile(join(artefacts, name), join(directory, name));
  await mkdir(join(directory, "bin"), { recursive: true, mode: 0o700 });
  await writeFile(join(directory, "bin", "agent"), agentWrapper(await realpath(process.execPath)), { mode: 0o700 });

  await rm(join(directory, "tmp"), { recursive: true, force: true });
  for (const name of ["profile", "home", "tmp"]) {
    const own = join(directory, name);
    await mkdir(own, { recursive: true, mode: 0o700 });
    if (account !== null) await ownTree(own, account);
  }
  for (const { from, to } of node.files) {
    const target = join(directory, to);
    await mkdir(dirname(target), { recursive: true });
    await replaceFile(from, target);
    await chmod(target, (await stat(from)).mode & 0o755);
    for (let at = dirname(target); at !== directory; at = dirname(at)) await chmod(at, 0o755);
  }
  if (browser === null) return [];
  return prepareBrowser(directory, view, node, account, isolation, browser);
}

async function prepareBrowser(
  directory: string,
  view: string,
  node: GroupSpec,
  account: Account | null,
  isolation: Isolation,
  browser: Browser,
): Promise<readonly string[]> {
  const folder = join(directory, "extension");
  await rm(folder, { recursive: true, force: true });
  await rm(join(directory, "policies"), { recursive: true, force: true });
  await mkdir(folder, { mode: 0o750 });
  await mkdir(join(directory, "policies", "managed"), { recursive: true, mode: 0o750 });
  const extension = node.network?.extension ?? null;
  const switches: string[] = [];
  if (extension !== null && isolation.mount) {
    const packed = `${extension.id}-${extension.version}.crx`;
    await copyFile(extension.crx, join(folder, packed));
    await writeFile(join(folder, "updates.xml"), updateManifest(extension, join(view, "extension", packed)));
  }
  if (extension !== null && !isolation.mount) {
    if (!browser.loadsExtensions)
      throw new ExplainedError(
        "no-extension",
        `${browser.path} ${browser.version} takes extensions by policy only, and a policy of its own needs a mount namespace, which is not to be had here.`,
        isolation.note ?? "Install Chromium, or allow user namespaces.",
      );
    await unpackExtension(extension.crx, extension.id, join(folder, "unpacked"));
    // There is no managed storage without a policy: the settings travel in the extension's own folder.
    await writeFile(join(folder, "unpacked", "settings.json"), JSON.stringify(node.network?.settings ?? {}));
    switches.push(`--load-extension=${join(view, "extension", "unpacked")}`);
  }
  await writeFile(
    join(directory, "policies", "managed", "gradientlab.json"),
    JSON.stringify(browserPolicy(node.network, join(view, "extension")), null, 2),
  );
  for (const readable of [folder, join(directory, "policies")]) await readableBy(readable, account);
  return switches;
}

/** Lets the account read the tree and nobody else: settings may hold a secret. */
async function readableBy(path: string, account: Account | null): Promise<void> {
  const folder = (await lstat(path)).isDirectory();
  if (account !== null) await chown(path, 0, account.gid);
  await chmod(path, folder ? 0o750 : 0o640);
  if (folder) for (const name of await readdir(path)) await readableBy(join(path, name), account);
}

/** Gives a tree to the account, where it is not its own already. */
async function ownTree(path: string, account: Account): Promise<void> {
  const found = await lstat(path);
  if (found.uid === account.uid && found.gid === account.gid) return;
  await lchown(path, account.uid, account.gid);
  if (found.isDirectory()) for (const name of await readdir(path)) await ownTree(join(path, name), account);
}

/** A running process keeps the file it has; only the name gets the new one. */
async function replaceFile(from: string, to: string): Promise<void> {
  const part = `${to}.part`;
  await copyFile(from, part);
  await rename(part, to);
}

function agentWrapper(runtime: string): string {
  const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
  return `#!/bin/sh\nexec ${quote(runtime)} "$(dirname "$(dirname "$(readlink -f "$0")")")/agent.cjs" "$@"\n`;
}

/** The folder of the built node programs: `bin/node` beside the sources or beside whatever this is bundled into. */
function builtArtefacts(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let at = here; at !== dirname(at); at = dirname(at)) {
    const folder = join(at, "bin", "node");
    if (existsSync(join(folder, "supervisor.cjs"))) return folder;
  }
  throw new ExplainedError(
    "not-built",
    `The node's programs are not built: no bin/node/supervisor.cjs above ${basename(here)}.`,
    "Run `npm start`, which builds them.",
  );
}

async function lockFreed(lock: string, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (lockIsHeld(lock)) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

/** The processes that hold the lock file open, as far as we may see. */
async function lockHolders(lock: string): Promise<number[]> {
  const wanted = await stat(lock);
  const holders: number[] = [];
  for (const name of await readdir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    for (const fd of await descriptorsOf(pid)) {
      const found = await statIfThere(`/proc/${pid}/fd/${fd}`);
      if (found?.dev === wanted.dev && found.ino === wanted.ino) {
        holders.push(pid);
        break;
      }
    }
  }
  return holders;
}

async function descriptorsOf(pid: number): Promise<string[]> {
  try {
    return await readdir(`/proc/${pid}/fd`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return [];
    throw error;
  }
}

async function statIfThere(path: string): Promise<{ dev: number; ino: number } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}
