import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "../engine/environment.ts";
import { agentFile, collectorUnitFile } from "../home.ts";
import { networkServices } from "../network-services.ts";
import type { Surroundings } from "../plan.ts";
import { findProviders } from "../providers/registry.ts";
import { findWorkloads, workloadFolders } from "../workloads.ts";

/** Returns what the program makes its plan against, for a command that plans without the engine. */
export function surroundingsOf(env: NodeJS.ProcessEnv): Surroundings {
  const workloads = [...findWorkloads(workloadFolders(checkout, env))];
  return {
    providers: findProviders(join(checkout, "infra"), env.GRADIENTLAB_EXTRA).facts,
    workloads: new Map(workloads.map(([name, { descriptor }]) => [name, descriptor])),
    services: new Set(Object.keys(networkServices)),
    arch: process.arch === "arm64" ? "arm64" : "x64",
    boot: {
      keys: { operator: [], collector: [] },
      agent: () => readFileSync(agentFile(checkout), "utf8"),
      collectorUnit: () => readFileSync(collectorUnitFile(checkout), "utf8"),
    },
  };
}
