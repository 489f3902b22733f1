import { randomBytes, randomUUID } from "node:crypto";
import { lstatSync } from "node:fs";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureAccessKeys } from "../access-keys.ts";
import { checkoutOf, homeOf } from "../home.ts";
import { writeOnce } from "../write-once.ts";

/** The folder of this checkout, absolute. */
export const checkout: string = checkoutOf(import.meta.dirname);

/** A checkout's own folder and the environment in which the engine works with it. */
export interface Home {
  /** Absolute path of the folder that holds state, nodes and evidence; only its owner may enter. */
  readonly home: string;
  /** The caller's environment with ours over it. */
  readonly env: NodeJS.ProcessEnv;
}

/** The engine's version: that of the npm package `pulumi`, and of the Go modules in `cli/go.mod`. */
export const cliVersion = "3.259.0";

/** Returns where built tools are cached for all checkouts of this user. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_CACHE_HOME: base = "" } = env;
  // By the XDG base directory specification a relative path counts as none.
  return join(isAbsolute(base) ? base : join(env.HOME || homedir(), ".cache"), "gradientlab");
}

/**
 * Makes the home folder where it is missing (its passphrase, its keys and its `env` file included) and returns the engine's
 * environment: state, passphrase and `PULUMI_HOME` of this checkout, so that the user's own `~/.pulumi` is not touched.
 */
export async function ensureHome(env: NodeJS.ProcessEnv = process.env): Promise<Home> {
  const home = resolve(homeOf(checkout, env));
  const folders = ["", "state", "pulumi-home", "logs", "networks", "nodes", "run", "spool"];
  for (const folder of folders) await mkdir(join(home, folder), { recursive: true, mode: 0o700 });
  await chmod(home, 0o700);
  await writeOnce(join(home, "passphrase"), `${randomBytes(24).toString("base64url")}\n`);
  await ensureAccessKeys(home);
  const { PULUMI_CONFIG_PASSPHRASE: _, ...theirs } = env;
  const place = { home, env: { ...theirs, ...engineEnvironment(home) } };
  await writeEnvironment(place.env);
  return place;
}

/**
 * Writes the shell file `env` of the home folder that `env` names by `GRADIENTLAB_HOME`: absolute paths, for its owner
 * only. Where our own build of the engine is in place, plugins are not to be had by download either, and the engine is
 * told not to try.
 */
export async function writeEnvironment(env: NodeJS.ProcessEnv): Promise<void> {
  const { GRADIENTLAB_HOME: home, PULUMI_HOME: pulumiHome } = env;
  if (home === undefined || pulumiHome === undefined) throw new Error("the engine's environment is not set");
  const lines = Object.entries(engineEnvironment(home)).map(([name, value]) => `export ${name}=${shellQuoted(value)}`);
  await replace(
    join(home, "env"),
    `# The settings of this checkout's engine, for a shell: . ${shellQuoted(join(home, "env"))}
${lines.join("\n")}
# It would stand over the passphrase file.
unset PULUMI_CONFIG_PASSPHRASE
`,
  );
}

/** Returns the variables of the engine's environment that are ours. */
function engineEnvironment(home: string): Readonly<Record<string, string>> {
  const bin = join(home, "pulumi-home", "versions", cliVersion, "bin");
  return {
    GRADIENTLAB_HOME: home,
    PULUMI_HOME: join(home, "pulumi-home"),
    PULUMI_BACKEND_URL: pathToFileURL(join(home, "state")).href,
    PULUMI_CONFIG_PASSPHRASE_FILE: join(home, "passphrase"),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // Our history of resource changes is the engine's state and the journals; copies of each checkpoint are not kept.
    PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS: "true",
    // A link is our own build: where the engine could not be downloaded, its plugins cannot either.
    ...(lstatSync(bin, { throwIfNoEntry: false })?.isSymbolicLink()
      ? { PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true" }
      : {}),
  };
}

/** Returns `text` as one word of a POSIX shell. */
function shellQuoted(text: string): string {
  return /^[A-Za-z0-9_./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

async function replace(file: string, text: string): Promise<void> {
  const old = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (old === text) return;
  const part = `${file}.${randomUUID()}`;
  await writeFile(part, text, { mode: 0o600 });
  await rename(part, file);
}
