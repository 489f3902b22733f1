import { readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as pulumi from "@pulumi/pulumi";
import { publicAccessKeys } from "./access-keys.ts";
import { parseConfig } from "./config.ts";
import { declareFleet, type FleetOutputs } from "./fleet.ts";
import { agentFile, checkoutOf, collectorUnitFile, homeOf } from "./home.ts";
import { networkServices } from "./network-services.ts";
import { planFleet } from "./plan.ts";
import { BadInput, ExplainedError } from "./problem.ts";
import { findProviders } from "./providers/registry.ts";
import { findWorkloads, workloadFolders } from "./workloads.ts";

/**
 * The program: read the config, plan, declare, return the outputs. The SDK runs it, because it is the only export, and so
 * hears at once of what it throws: the rejection of an exported promise would find no listener yet.
 */
export default async function program(): Promise<FleetOutputs> {
  // The SDK takes down and maps the call stack of every resource. On a turn of its own the program has a short one,
  // without the module loader's frames below it.
  await nextTurn();
  try {
    const here = import.meta.dirname;
    const providers = findProviders(here, process.env.GRADIENTLAB_EXTRA);
    const checkout = checkoutOf(here);
    const workloads = [...findWorkloads(workloadFolders(checkout))];
    let agent: string | undefined;
    const around = {
      providers: providers.facts,
      workloads: new Map(workloads.map(([name, { descriptor }]) => [name, descriptor])),
      services: new Set(Object.keys(networkServices)),
      arch: process.arch === "arm64" ? "arm64" : "x64",
      boot: {
        keys: publicAccessKeys(homeOf(checkout)),
        agent: () => (agent ??= readFileSync(agentFile(checkout), "utf8")),
        collectorUnit: () => readFileSync(collectorUnitFile(checkout), "utf8"),
      },
    } as const;
    const secret: string[] = JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS ?? "[]");
    const config = parseConfig(pulumi.runtime.allConfig(), around, secret);
    const plan = planFleet(config, around);
    if (plan.refusals.length > 0) throw new BadInput("The plan", plan.refusals);
    for (const warning of plan.warnings) void pulumi.log.warn(warning);
    const budgetFrom = `${new Date().toISOString().slice(0, 7)}-01`;
    const fleet = { stack: pulumi.getStack(), providers, access: config.access, budgetFrom };
    // The SDK's mapping of call stacks to sources costs more than taking them down, and the bundle has no map.
    Reflect.deleteProperty(Error, "prepareStackTrace");
    return withoutStacks(() => declareFleet(plan, fleet));
  } catch (error) {
    // The engine prints a run error as it stands, and any other with the program's stack.
    if (error instanceof BadInput) throw new pulumi.RunError(error.message);
    throw error instanceof ExplainedError ? new pulumi.RunError(`${error.message} ${error.fix}`) : error;
  }
}

/**
 * The SDK also takes down the call stack of every promise of every field of every resource, for a report of leaks
 * only: more than half of all its work. While the fleet is declared there is none to take down; afterwards the first
 * line is, which says where an unforeseen error was thrown.
 */
function withoutStacks<Value>(declare: () => Value): Value {
  Error.stackTraceLimit = 0;
  try {
    return declare();
  } finally {
    Error.stackTraceLimit = 1;
  }
}
