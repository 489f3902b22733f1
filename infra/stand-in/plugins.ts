import { globSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { checkout, type Home } from "../engine/environment.ts";
import { canonical } from "../plugin/resource.ts";
import { readRules } from "./rules.ts";
import type { WrittenScenario } from "./scenario.ts";

const bundle = join(checkout, "infra", "bin", "stand-in", "stand-in.cjs");
const packages = createRequire(join(checkout, "infra", "package.json"));

/** Returns the rules files of all stand-ins, the clouds' and that of the plugin which runs commands, sorted. */
export function rulesFiles(): string[] {
  return globSync(["infra/providers/*/stand-in/rules.json", "infra/stand-in/*/rules.json"], { cwd: checkout })
    .toSorted()
    .map((file) => join(checkout, file));
}

/** Returns the folder in which the stand-in clouds of a home keep what they hold. */
export function worldOf(place: Home): string {
  return join(place.home, "clouds");
}

/**
 * Puts the stand-in clouds where the engine of this home, and of no other, looks for the plugins of the clouds' SDKs, at
 * the SDKs' versions. The home has to be a trial's or a test's own: an engine that finds them talks to no real cloud.
 */
export async function placeStandIns(place: Home): Promise<void> {
  await mkdir(worldOf(place), { recursive: true, mode: 0o700 });
  for (const file of rulesFiles()) {
    const rules = readRules(file);
    const manifest = await readFile(packages.resolve(`${rules.package}/package.json`), "utf8");
    const { version } = JSON.parse(manifest) as { readonly version: string };
    await placePlugin(place, rules.plugin, version, [bundle, "--rules", file, "--version", version]);
  }
}

async function placePlugin(place: Home, name: string, version: string, words: readonly string[]): Promise<void> {
  const folder = join(place.home, "pulumi-home", "plugins", `resource-${name}-v${version}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const node = join(checkout, "node_modules", ".bin", "node");
  const command = [node, ...words, "--world", worldOf(place)].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  const script = `#!/bin/sh\n# A stand-in cloud of a trial: nothing it makes exists or is billed.\nexec ${command.join(" ")} "$@"\n`;
  await writeFile(join(folder, `pulumi-resource-${name}`), script, { mode: 0o755 });
}

/** Writes what the clouds of a home are like and what fails in them; plugins that run take it up at their next call. */
export async function setScenario(place: Home, scenario: WrittenScenario): Promise<void> {
  const file = join(worldOf(place), "scenario.json");
  // A plugin may be reading it.
  await writeFile(`${file}.part`, `${canonical(scenario)}\n`);
  await rename(`${file}.part`, file);
}
