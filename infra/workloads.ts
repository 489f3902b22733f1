import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { WorkloadDescriptor } from "../cloud-init/workloads/descriptor.ts";
import { BadInput, problemsOf } from "./problem.ts";

/** A workload as it was found: its folder, and its descriptor. */
export interface Workload {
  readonly folder: string;
  readonly descriptor: WorkloadDescriptor;
}

/**
 * Returns the workloads of these folders by name: `<folder>/<name>/descriptor.json`. A folder that does not exist has
 * none. Throws `BadInput` for a descriptor that is not one, or that names another workload than its folder.
 */
export function findWorkloads(folders: readonly string[]): ReadonlyMap<string, Workload> {
  const found = new Map<string, Workload>();
  for (const parent of folders)
    for (const name of existsSync(parent) ? readdirSync(parent).toSorted() : []) {
      const folder = join(parent, name);
      if (existsSync(join(folder, "descriptor.json")))
        found.set(name, { folder, descriptor: readDescriptor(name, folder) });
    }
  return found;
}

function readDescriptor(name: string, folder: string): WorkloadDescriptor {
  const file = join(folder, "descriptor.json");
  const value: unknown = JSON.parse(readFileSync(file, "utf8"));
  const parsed = WorkloadDescriptor.safeParse(value);
  if (!parsed.success) throw new BadInput(`The workload ${name} (${file})`, problemsOf(parsed.error, value, ""));
  if (parsed.data.name !== name)
    throw new BadInput(`The workload ${name} (${file})`, [
      {
        path: "name",
        value: parsed.data.name,
        message: `name is "${parsed.data.name}", and the folder is named ${name}.`,
        fix: "Give both the same name.",
      },
    ]);
  return parsed.data;
}

/** Returns the folders that workloads are found in: the checkout's own, and the one that `GRADIENTLAB_EXTRA` adds. */
export function workloadFolders(
  checkout: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string[] {
  const extra = env.GRADIENTLAB_EXTRA;
  return [join(checkout, "cloud-init", "workloads"), ...(extra ? [join(extra, "workloads")] : [])];
}
