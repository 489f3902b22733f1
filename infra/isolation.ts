import { spawn } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ExplainedError } from "./problem.ts";

/**
 * What this machine lets us give a process: a mount namespace of its own (`mount`), a process tree of its own (`pid`),
 * both inside a user namespace where we are not root (`user`). `note` is one sentence with the remedy where something
 * could not be had, else null.
 */
export interface Isolation {
  readonly mount: boolean;
  readonly pid: boolean;
  readonly user: boolean;
  readonly note: string | null;
}

/** An account that processes run under. Its lines stand only in the passwd file of the isolated process. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

/** A file or folder made visible at another path. `to` lies below /etc, or exists already. */
export interface Mount {
  readonly from: string;
  readonly to: string;
}

/** A command and what it sees. */
export interface IsolatedProcess {
  readonly isolation: Isolation;
  /** A folder of the caller's; its subfolder `etc` is written anew and laid over /etc, for this process only. */
  readonly folder: string;
  readonly mounts: readonly Mount[];
  /** Accounts that the process's passwd and group files name beside the machine's own. */
  readonly accounts: readonly Account[];
  /** The account to run as, or null to stay who we are with all rights, so that `argv` can set up more. */
  readonly account: Account | null;
  readonly argv: readonly string[];
}

/**
 * Relative paths, because the folder's own may hold a colon or a comma, which would end an overlay option. The rest
 * of the arguments are pairs of paths to bind, `--`, and the command.
 */
const mountScript = `set -e
cd "$1"; shift
mount -t overlay overlay -o ro,lowerdir=etc:/etc /etc
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
shift
cd /
exec "$@"`;

/**
 * Returns the words of a command that runs `argv` isolated: `/etc` is the machine's with our lines and mount points
 * laid over it, `mounts` are bound, and nothing of it is seen outside. With `isolation.pid` the command is process 1 of
 * its own tree and has to reap what it is left with; without, it keeps the process number of whoever runs the words,
 * so that signals reach it. Without `isolation.mount` only the account is changed. Writes `<folder>/etc`.
 */
export async function isolatedCommand(process: IsolatedProcess): Promise<readonly string[]> {
  const { isolation, folder, mounts, account } = process;
  const argv = account === null ? process.argv : asAccount(account, process.argv);
  if (!isolation.mount) return argv;
  await writeEtc(folder, mounts, process.accounts);
  return [
    "unshare",
    ...(isolation.user ? ["--user", "--map-current-user", "--keep-caps"] : []),
    "--mount",
    ...(isolation.pid ? ["--pid", "--fork", "--kill-child", "--mount-proc"] : []),
    "--propagation",
    "private",
    "--",
    "sh",
    "-c",
    mountScript,
    "isolated",
    folder,
    ...mounts.flatMap(({ from, to }) => [from, to]),
    "--",
    ...argv,
  ];
}

/** Returns the words that run `argv` under `account` without any right of the caller's. The caller is root. */
export function asAccount(account: Pick<Account, "uid" | "gid">, argv: readonly string[]): readonly string[] {
  return [
    "setpriv",
    `--reuid=${account.uid}`,
    `--regid=${account.gid}`,
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--",
    ...argv,
  ];
}

/** Returns the words that run `argv` as who we are, without the rights that a user namespace of ours gave. */
export function withoutCapabilities(argv: readonly string[]): readonly string[] {
  return ["setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--", ...argv];
}

async function writeEtc(folder: string, mounts: readonly Mount[], accounts: readonly Account[]): Promise<void> {
  const etc = join(folder, "etc");
  await rm(etc, { recursive: true, force: true });
  // Folders of the overlay's upper layer lend /etc their mode: a private one would lock the account out of /etc.
  const open = async (path: string): Promise<void> => {
    if (await isFolder(path)) return;
    if (path !== etc) await open(dirname(path));
    await mkdir(path);
    await chmod(path, 0o755);
  };
  const file = async (path: string, text: string): Promise<void> => {
    await open(dirname(path));
    await writeFile(path, text);
    await chmod(path, 0o644);
  };
  await open(etc);
  if (accounts.length > 0) {
    const lines = (make: (account: Account) => string): string =>
      accounts.map((account) => `${make(account)}\n`).join("");
    const machine = async (name: string): Promise<string> =>
      (await readFile(`/etc/${name}`, "utf8")).replace(/([^\n])$/, "$1\n");
    await file(
      join(etc, "passwd"),
      (await machine("passwd")) + lines(({ name, uid, gid }) => `${name}:x:${uid}:${gid}::/:/usr/sbin/nologin`),
    );
    await file(join(etc, "group"), (await machine("group")) + lines(({ name, gid }) => `${name}:x:${gid}:`));
  }
  for (const { from, to } of mounts) {
    if (!to.startsWith("/etc/")) continue;
    const point = join(folder, to);
    if (await isFolder(from)) await open(point);
    else await file(point, "");
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** How a tried command ended. */
export interface Attempt {
  readonly code: number | null;
  readonly stderr: string;
}

/** Runs a command to its end; a program that is not there ends with code 127. */
export async function attempt(argv: readonly string[]): Promise<Attempt> {
  const [program = "", ...words] = argv;
  const child = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: 127, stderr: error.message }));
    child.once("close", (code) => resolve({ code, stderr }));
  });
}

/**
 * Returns the best isolation that this machine really gives, found by trying from the best down: mounts and processes
 * of its own, mounts only, none. `uid` is who asks, `run` runs a command (both are arguments for tests).
 */
export async function findIsolation(
  uid: number = process.getuid?.() ?? 0,
  run: (argv: readonly string[]) => Promise<Attempt> = attempt,
): Promise<Isolation> {
  const user = uid !== 0;
  const folder = await mkdtemp(join(tmpdir(), "gradientlab-isolation-"));
  try {
    let refused = "";
    for (const pid of [true, false]) {
      const isolation: Isolation = { mount: true, pid, user, note: pid ? null : sharedProcesses };
      const { code, stderr } = await run(
        await isolatedCommand({
          isolation,
          folder,
          mounts: [{ from: folder, to: "/etc/gradientlab/node" }],
          accounts: [],
          account: null,
          argv: ["test", "-d", "/etc/gradientlab/node/etc"],
        }),
      );
      if (code === 0) return isolation;
      refused ||= stderr.trim().split("\n").at(-1) ?? "";
    }
    return { mount: false, pid: false, user: false, note: await noNamespace(user, refused) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const sharedProcesses =
  "A process tree of its own is not to be had here, so a node's processes are ended one by one: allow PID namespaces (in a container: run it with --privileged) to have them end together.";

async function noNamespace(user: boolean, refused: string): Promise<string> {
  const why = refused === "" ? "" : ` (${refused})`;
  return `A mount namespace is not to be had here${why}, so the browser loads the extension by a switch instead of by policy: ${await remedy(user, refused)}`;
}

async function remedy(user: boolean, refused: string): Promise<string> {
  if (refused.includes("ENOENT")) return "install the package util-linux.";
  if (!user)
    return "in a container, run it with --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined.";
  if ((await kernelSetting("kernel/apparmor_restrict_unprivileged_userns")) === "1")
    return "run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` to allow it.";
  if ((await kernelSetting("kernel/unprivileged_userns_clone")) === "0")
    return "run `sudo sysctl kernel.unprivileged_userns_clone=1` to allow it.";
  if ((await kernelSetting("user/max_user_namespaces")) === "0")
    return "run `sudo sysctl user.max_user_namespaces=16384` to allow it.";
  return "allow user namespaces, and a kernel of at least 5.11, or run it as root.";
}

/** Returns a setting of the kernel by its path below /proc/sys, or `undefined` where this kernel has none of that name. */
export async function kernelSetting(name: string): Promise<string | undefined> {
  try {
    return (await readFile(`/proc/sys/${name}`, "utf8")).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Whom a process of ours runs as when we are root: the browser and the database never share an account. */
export type Role = "browser" | "database";

// systemd leaves 60706 to 61183 unused (its document "Users, Groups, UIDs and GIDs"), and distributions end before.
const wantedUid: Readonly<Record<Role, number>> = { browser: 61001, database: 61002 };

interface AccountsFile {
  readonly schema: 1;
  readonly accounts: Partial<Record<Role, Account & { readonly added: boolean }>>;
}

/**
 * Returns the account of `role` for this home folder, the same for ever (`accounts.json`). With a mount namespace it is
 * a number that no account of the machine has; without one it is a system account that is added once, and `say` gets
 * the sentence that says so. Only root may call it. Throws `no-account` where one cannot be added.
 */
export async function accountFor(
  home: string,
  role: Role,
  isolation: Isolation,
  say: (sentence: string) => void,
): Promise<Account> {
  const file = join(home, "accounts.json");
  const known = (accounts: AccountsFile["accounts"]): Account | undefined =>
    accounts[role]?.added || isolation.mount ? accounts[role] : undefined;
  const found = known(readAccounts(file).accounts);
  if (found !== undefined) return found;
  const made = isolation.mount ? await unusedAccount(role) : await addedAccount(role, say);
  await mkdir(home, { recursive: true, mode: 0o700 });
  // Nothing is awaited from here on: nodes are made side by side, and each asks for the same account.
  const { accounts } = readAccounts(file);
  const meanwhile = known(accounts);
  if (meanwhile !== undefined) return meanwhile;
  const part = `${file}.${process.pid}.part`;
  const text = JSON.stringify({ schema: 1, accounts: { ...accounts, [role]: made } } satisfies AccountsFile);
  writeFileSync(part, text, { mode: 0o600 });
  renameSync(part, file);
  return made;
}

function readAccounts(file: string): AccountsFile {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as AccountsFile;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { schema: 1, accounts: {} };
    throw error;
  }
}

async function unusedAccount(role: Role): Promise<Account & { added: boolean }> {
  const taken = new Set(
    `${await readFile("/etc/passwd", "utf8")}\n${await readFile("/etc/group", "utf8")}`
      .split("\n")
      .map((line) => Number(line.split(":")[2])),
  );
  let uid = wantedUid[role];
  while (taken.has(uid)) uid += 2;
  return { uid, gid: uid, name: `gradientlab-${role}`, added: false };
}

async function addedAccount(role: Role, say: (sentence: string) => void): Promise<Account & { added: boolean }> {
  const name = `gradientlab-${role}`;
  const line = async (): Promise<string[] | undefined> =>
    (await readFile("/etc/passwd", "utf8"))
      .split("\n")
      .map((text) => text.split(":"))
      .find(([found]) => found === name);
  if ((await line()) === undefined) {
    const { code, stderr } = await attempt([
      "useradd",
      "--system",
      "--user-group",
      "--no-create-home",
      "--home-dir",
      "/nonexistent",
      "--shell",
      "/usr/sbin/nologin",
      name,
    ]);
    if (code !== 0 && (await line()) === undefined)
      throw new ExplainedError(
        "no-account",
        `The system account ${name} could not be added: ${stderr.trim()}.`,
        "Allow mount namespaces, or run as an ordinary user.",
      );
    say(
      `The system account ${name} was added, once, because no mount namespace is to be had: remove it with \`userdel ${name}\`.`,
    );
  }
  const [, , uid, gid] = (await line()) ?? [];
  return { uid: Number(uid), gid: Number(gid), name, added: true };
}
