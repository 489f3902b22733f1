import { createHash } from "node:crypto";
import { existsSync, globSync, renameSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { checkout } from "./environment.ts";
import { lockWhenFree } from "./lock.ts";

/**
 * Makes the folder `target` by `make`, which is given an empty folder to write, unless what lies there was made of the
 * same sources: the checkout's files that match `patterns`, and the lock file. Two processes never make it at once, and
 * what was made before stays until the new one is whole. Returns whether it was made; throws what `make` throws.
 */
export async function buildWhenStale(
  target: string,
  patterns: readonly string[],
  make: (folder: string) => Promise<unknown>,
): Promise<boolean> {
  const stamp = await hashOf(patterns);
  const current = async (): Promise<boolean> => {
    const file = join(target, "stamp");
    return existsSync(file) && (await readFile(file, "utf8")) === stamp;
  };
  if (await current()) return false;
  const cache = join(checkout, "node_modules", ".cache");
  await mkdir(cache, { recursive: true });
  const release = await lockWhenFree(join(cache, `${relative(checkout, target).replaceAll("/", "-")}.lock`));
  try {
    if (await current()) return false;
    const part = join(dirname(target), `.${basename(target)}.part`);
    await rm(part, { recursive: true, force: true });
    await mkdir(part, { recursive: true });
    await make(part);
    await writeFile(join(part, "stamp"), stamp);
    const old = join(dirname(target), `.${basename(target)}.old`);
    await rm(old, { recursive: true, force: true });
    // Back to back, so that a program that is being loaded from here hardly ever finds nothing.
    if (existsSync(target)) renameSync(target, old);
    renameSync(part, target);
    await rm(old, { recursive: true, force: true });
    return true;
  } finally {
    release();
  }
}

async function hashOf(patterns: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of filesMatching([...patterns, "package-lock.json"]))
    hash
      .update(file)
      .update("\0")
      .update(await readFile(join(checkout, file)))
      .update("\0");
  return hash.digest("hex");
}

/** Returns the checkout's source files that match any of `patterns`, relative to it and sorted. */
export function filesMatching(patterns: readonly string[]): readonly string[] {
  return globSync(patterns, { cwd: checkout, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(checkout, join(entry.parentPath, entry.name)))
    .filter((file) => !/(^|\/)(bin|dist|node_modules|\.[^/]*)\//.test(file))
    .toSorted();
}
