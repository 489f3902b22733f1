import { join } from "node:path";
import type { Surroundings } from "../../infra/plan.ts";
import { findProviders } from "../../infra/providers/registry.ts";
import { findWorkloads, workloadFolders } from "../../infra/workloads.ts";
import { extra } from "../harness/project.ts";

const checkout = join(import.meta.dirname, "..", "..");
const workloads = findWorkloads(workloadFolders(checkout, { GRADIENTLAB_EXTRA: extra }));

/** What a config of a test may name: all that ships, and the provider `shed` and the workload `pulse` beside it. */
export const known: Surroundings = {
  providers: findProviders(join(checkout, "infra"), extra).facts,
  workloads: new Map([...workloads].map(([name, { descriptor }]) => [name, descriptor])),
  services: new Set(["practice"]),
  arch: "x64",
  boot: {
    keys: { operator: ["ssh-ed25519 AAAAoperator"], collector: ["ssh-ed25519 AAAAcollector"] },
    agent: () => "// The agent's program.\n",
    collectorUnit: () => "[Service]\nExecStart=/bin/true\n",
  },
};
