import { join } from "node:path";
import type { MachineSpec } from "../../cloud-init/document.ts";
import { findWorkloads } from "../../infra/workloads.ts";

const sentry = findWorkloads([join(import.meta.dirname, "..", "..", "cloud-init", "workloads")]).get("sentry");
if (sentry?.descriptor.machine === undefined) throw new Error("the workload sentry is not described for machines");

/** A machine of the workload that ships, as a plan would ask for it. */
export const machineSpec: MachineSpec = {
  key: "home/0",
  os: "debian-12",
  arch: "x64",
  diskGib: 10,
  revision: { machine: 1, software: 1 },
  everySeconds: 300,
  workload: { ...sentry.descriptor, machine: sentry.descriptor.machine },
  keys: {
    operator: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOperatorOperatorOperatorOperatorOperator0 you@home"],
    collector: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICollectorCollectorCollectorCollectorColl0 collector"],
  },
  agent: "// The agent's program.\n",
};
