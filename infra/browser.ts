import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, open, readdir, readFile, realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { kernelSetting } from "./isolation.ts";
import { ExplainedError } from "./problem.ts";

type BrowserKind = "chromium" | "chrome" | "chrome-for-testing";

/** A browser that runs here. */
export interface Browser {
  /** The binary itself, not a launcher script that adds switches of its own. */
  readonly path: string;
  readonly kind: BrowserKind;
  readonly version: string;
  /** The folder of this machine in which it looks for `managed/*.json`. */
  readonly policyFolder: string;
  /** Whether `--load-extension` works: branded Chrome dropped it in 137. */
  readonly loadsExtensions: boolean;
}

/** What a search for a browser depends on; tests give their own. */
export interface BrowserSearch {
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
  /** Gets a line for each step that takes long. */
  readonly say: (line: string) => void;
  /** The text of /etc/os-release. */
  readonly osRelease: () => Promise<string>;
  /** Binaries behind the launcher scripts of the distributions' and Google's own packages. */
  readonly packaged: readonly string[];
  /** Whether AppArmor keeps user namespaces, and with them the browser's sandbox, from programs it does not know. */
  readonly sandboxRestricted: () => Promise<boolean>;
  /** Runs a command that installs something, with its output passed on as progress, and returns its exit code. */
  readonly install: (argv: readonly string[]) => Promise<number>;
}

const policyFolders: Readonly<Record<BrowserKind, string>> = {
  chromium: "/etc/chromium/policies",
  chrome: "/etc/opt/chrome/policies",
  "chrome-for-testing": "/etc/opt/chrome_for_testing/policies",
};

const names = ["google-chrome-stable", "google-chrome", "chromium", "chromium-browser", "chrome"] as const;

const packaged = [
  "/usr/lib/chromium/chromium",
  "/usr/lib64/chromium-browser/chromium-browser",
  "/opt/google/chrome/chrome",
] as const;

/**
 * Returns a browser, found in this order: `GRADIENTLAB_BROWSER`; Chrome or Chromium on PATH (a snap's stub is not one);
 * what Playwright has downloaded; as root on Debian the system's package; else Playwright's own download. Throws
 * `no-browser` with one sentence that names what to install, `bad-browser` where `GRADIENTLAB_BROWSER` does not run.
 */
export async function findBrowser(overrides: Partial<BrowserSearch> = {}): Promise<Browser> {
  const say = overrides.say ?? (() => undefined);
  const search: BrowserSearch = {
    env: process.env,
    uid: process.getuid?.() ?? 0,
    say,
    osRelease: () => readFile("/etc/os-release", "utf8"),
    packaged,
    sandboxRestricted: async () => (await kernelSetting("kernel/apparmor_restrict_unprivileged_userns")) === "1",
    install: (argv) => runInstaller(argv, say),
    ...overrides,
  };
  const named = search.env.GRADIENTLAB_BROWSER;
  if (named !== undefined && named !== "") {
    const browser = await inspect(named);
    if (browser !== undefined) return browser;
    throw new ExplainedError(
      "bad-browser",
      `GRADIENTLAB_BROWSER is ${JSON.stringify(named)}, which is no Chrome or Chromium that runs here.`,
      "Let it name the binary of one, or unset it.",
    );
  }
  return (await installed(search)) ?? (await installedNow(search));
}

async function installed(search: BrowserSearch): Promise<Browser | undefined> {
  const folders = (search.env.PATH ?? "").split(":").filter((folder) => folder !== "");
  const onPath = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return (await firstThatRuns([...onPath, ...search.packaged])) ?? (await firstThatRuns(await downloads(search.env)));
}

async function firstThatRuns(candidates: readonly string[]): Promise<Browser | undefined> {
  for (const candidate of candidates) {
    const browser = await inspect(candidate);
    if (browser !== undefined) return browser;
  }
  return undefined;
}

/** Several nodes may ask at once: one of them installs, the others wait for it. */
let installing: Promise<Browser> | undefined;

function installedNow(search: BrowserSearch): Promise<Browser> {
  installing ??= install(search).finally(() => {
    installing = undefined;
  });
  return installing;
}

async function install(search: BrowserSearch): Promise<Browser> {
  const root = search.uid === 0;
  const debian = /^ID="?debian"?$/m.test(await search.osRelease());
  if (root && debian) {
    search.say("No browser here yet: installing the package chromium");
    const apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"];
    const packages = [...apt, "install", "-y", "--no-install-recommends", "chromium"];
    // A fresh machine has no package lists; one that has them need not fetch them again.
    if ((await search.install(packages)) !== 0 && (await search.install([...apt, "update"])) === 0)
      await search.install(packages);
    const browser = await installed(search);
    if (browser !== undefined) return browser;
  }
  const playwright = playwrightCommand();
  // Google's package brings an AppArmor profile that allows its sandbox; Playwright's own build has none.
  const builds = root && (await search.sandboxRestricted()) ? ["chrome", "chromium"] : ["chromium"];
  for (const build of playwright === undefined ? [] : builds) {
    search.say(`No browser here yet: downloading ${build === "chrome" ? "Google Chrome" : "Playwright's Chromium"}`);
    const code = await search.install([...(playwright ?? []), "install", ...(root ? ["--with-deps"] : []), build]);
    const browser = code === 0 ? await installed(search) : undefined;
    if (browser !== undefined) return browser;
  }
  throw new ExplainedError(
    "no-browser",
    "No Chrome or Chromium is to be found here, and none could be installed.",
    debian
      ? "Install one with `sudo apt-get install chromium`, or set GRADIENTLAB_BROWSER to the binary of one."
      : "Install Google Chrome (https://www.google.com/chrome/), or set GRADIENTLAB_BROWSER to the binary of a Chrome or Chromium that is not a snap.",
  );
}

/** Returns what `path` is, or `undefined` where it is no browser that runs. */
async function inspect(path: string): Promise<Browser | undefined> {
  const binary = await binaryBehind(path);
  if (binary === undefined) return undefined;
  const text = await output(binary, ["--version"]);
  const found = /^(Google Chrome for Testing|Google Chrome|Chromium)\b.*?(\d+(?:\.\d+)+)/m.exec(text ?? "");
  if (found === null) return undefined;
  const version = found[2] ?? "";
  const kind: BrowserKind =
    found[1] === "Chromium" ? "chromium" : found[1] === "Google Chrome" ? "chrome" : "chrome-for-testing";
  return {
    path: binary,
    kind,
    version,
    policyFolder: policyFolders[kind],
    loadsExtensions: kind !== "chrome" || Number.parseInt(version, 10) < 137,
  };
}

/**
 * Returns the real binary that `path` leads to: a launcher script adds switches of its own, among them some that keep
 * extensions out. Returns `undefined` for a snap, whose policies lie elsewhere and which reaches no hidden folder.
 */
async function binaryBehind(path: string): Promise<string | undefined> {
  const real = await executable(path);
  if (real === undefined || real.split("/").includes("snap")) return undefined;
  const head = await headOf(real);
  if (!head.startsWith("#!")) return real;
  if (/\bsnap\b/.test(head)) return undefined;
  const library = /^LIBDIR=(\/\S*\/)\$APPNAME$/m.exec(head)?.[1];
  const application = /^APPNAME=(\S+)$/m.exec(head)?.[1];
  const candidates = [
    ...(library === undefined || application === undefined ? [] : [join(library, application, application)]),
    join(dirname(real), "chrome"),
    join(dirname(real), "chromium-browser"),
  ];
  for (const candidate of candidates) {
    const binary = await executable(candidate);
    if (binary !== undefined && !(await headOf(binary)).startsWith("#!")) return binary;
  }
  return real;
}

async function executable(path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    await access(real, constants.X_OK);
    return real;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES" || code === "ELOOP") return undefined;
    throw error;
  }
}

async function headOf(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The browsers that Playwright has downloaded for this user, newest first. */
async function downloads(env: NodeJS.ProcessEnv): Promise<string[]> {
  const set = env.PLAYWRIGHT_BROWSERS_PATH;
  const root = set === undefined || set === "" || set === "0" ? join(cacheFolder(env), "ms-playwright") : set;
  const found = (await entries(root))
    .map((name) => ({ name, revision: Number(/^chromium-(\d+)$/.exec(name)?.[1]) }))
    .filter(({ revision }) => !Number.isNaN(revision))
    .sort((a, b) => b.revision - a.revision);
  const binaries: string[] = [];
  for (const { name } of found)
    for (const folder of await entries(join(root, name)))
      if (folder.startsWith("chrome-linux")) binaries.push(join(root, name, folder, "chrome"));
  return binaries;
}

function cacheFolder(env: NodeJS.ProcessEnv): string {
  return env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache");
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES") return [];
    throw error;
  }
}

function playwrightCommand(): string[] | undefined {
  try {
    const manifest = createRequire(import.meta.url).resolve("playwright/package.json");
    return [process.execPath, join(dirname(manifest), "cli.js")];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/** Returns what the program printed, or `undefined` where it did not run or did not end well within ten seconds. */
function output(program: string, words: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "ignore"], timeout: 10_000 });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    child.once("error", () => resolve(undefined));
    child.once("close", (code) => resolve(code === 0 ? text : undefined));
  });
}

function runInstaller(argv: readonly string[], say: (line: string) => void): Promise<number> {
  const [program = "", ...words] = argv;
  return new Promise((resolve) => {
    const child = spawn(program, words, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
    for (const stream of [child.stdout, child.stderr]) {
      let rest = "";
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        const lines = (rest + chunk).split(/[\r\n]+/);
        rest = lines.pop() ?? "";
        for (const line of lines) if (line.trim() !== "") say(line.trim());
      });
    }
    child.once("error", (error) => {
      say(`${program} could not be run: ${error.message}`);
      resolve(127);
    });
    child.once("close", (code) => resolve(code ?? 1));
  });
}
