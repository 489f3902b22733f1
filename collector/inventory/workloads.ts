import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WorkloadDescriptor } from "../../cloud-init/workloads/descriptor.ts";
import { ExplainedError } from "../../infra/problem.ts";
import type { LineRules } from "../states/lines.ts";

/** Returns the descriptor of a workload, or undefined where no folder has it. */
export type FindWorkload = (name: string) => Promise<WorkloadDescriptor | undefined>;

const own = fileURLToPath(new URL("../../cloud-init/workloads/", import.meta.url));

/**
 * Returns a search for workloads in the release's folder and in `<extra>/workloads`. A descriptor is read once; a name
 * that was not found is looked for again the next time. The search throws ExplainedError on a broken descriptor.
 */
export function workloadsIn(extra: string | null): FindWorkload {
  const folders = extra === null ? [own] : [own, join(extra, "workloads")];
  const known = new Map<string, WorkloadDescriptor>();
  return async (name) => {
    const found = known.get(name);
    if (found !== undefined) return found;
    for (const folder of folders) {
      const descriptor = await readDescriptor(folder, name);
      if (descriptor === undefined) continue;
      known.set(name, descriptor);
      return descriptor;
    }
    return undefined;
  };
}

async function readDescriptor(folder: string, name: string): Promise<WorkloadDescriptor | undefined> {
  // The name comes from the inventory: only a folder that is really there is opened.
  if (!(await entries(folder)).includes(name)) return undefined;
  const file = join(folder, name, "descriptor.json");
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const result = WorkloadDescriptor.safeParse(JSON.parse(text));
  if (result.success) return result.data;
  throw new ExplainedError(
    "workload-descriptor",
    `The workload descriptor ${file} cannot be read: ${result.error.issues[0]?.message ?? "it has another form"}.`,
    "Correct the descriptor.",
  );
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** What people call the layers of a workload whose descriptor is not to be had: what the layers are called here. */
export const plainLayers = {
  machine: "machine",
  runtime: "runtime",
  app: "app",
  verdict: "network",
  reward: "reward",
} as const;

/** Returns how the lines of nodes with this workload are read. */
export function rulesOf(descriptor: WorkloadDescriptor | undefined): LineRules {
  const { runtime, app } = descriptor?.probes ?? { runtime: null, app: null };
  return {
    runtimeUnit: runtime?.kind === "unit" ? runtime.unit : null,
    appUnit: app?.kind === "unit" ? app.unit : null,
    heartbeatStaleSeconds: descriptor?.heartbeatStaleSeconds ?? null,
  };
}
