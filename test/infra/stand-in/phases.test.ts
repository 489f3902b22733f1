import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { checkout } from "../../../infra/engine/environment.ts";
import { Inventory } from "../../../infra/inventory.ts";
import { declaredResources } from "../../../infra/providers/resource-table.ts";
import { readScenario } from "../../../infra/stand-in/scenario.ts";
import { type FleetProject, makeFleetProject } from "./fleet-project.ts";

/** The phases of the examples, one after the other on one stack, through the real engine, and back down. */

/** Machines of the grant's hundred that are made. */
const machines = Number(process.env.GRANT_MACHINES ?? 10);

interface Fleet {
  readonly groups: Readonly<Record<string, { readonly count: number }>>;
  readonly [field: string]: unknown;
}

const examples = join(checkout, "docs", "examples");
function example(name: string): Fleet {
  const { config } = parse(readFileSync(join(examples, `${name}.yaml`), "utf8")) as {
    config: { "gradientlab:fleet": Fleet };
  };
  return config["gradientlab:fleet"];
}

/** Returns the fleet with the same groups, each of so many of a hundred. */
function percentOf(fleet: Fleet, percent: number): Fleet {
  const counts = Object.entries(fleet.groups).map(([name, group]) => {
    const count = Math.round((group.count * percent) / 100);
    return [name, { ...group, count }] as const;
  });
  return { ...fleet, groups: Object.fromEntries(counts) };
}

const keysOf = ({ groups }: Fleet): string[] =>
  Object.entries(groups).flatMap(([name, { count }]) => Array.from({ length: count }, (_, slot) => `${name}/${slot}`));

let project: FleetProject;
beforeAll(async () => {
  project = await makeFleetProject();
}, 600_000);
afterAll(() => project.remove());

/** Returns the ids of the machines that the clouds hold, as the inventory names them, sorted. */
function machinesHeld(): string[] {
  const types = ["oci:Core/instance:Instance", "gcp:compute/instance:Instance", "azure-native:compute:VirtualMachine"];
  const held = project.inWorld((world) => types.flatMap((type) => world.all(type.split(":")[0] ?? "", type)));
  return held.map(({ id, outputs }) => String(outputs.instanceId ?? outputs.vmId ?? id)).toSorted();
}

const Outputs = z.object({ inventory: Inventory, collector: z.object({ machineId: z.string() }).optional() });

/** Goes to the phase of an example, and compares what the inventory says with what the clouds hold. */
async function enter(name: string, fleet: Fleet): Promise<void> {
  const scenario = join(examples, `${name}.scenario.json`);
  const { quotas } = existsSync(scenario) ? readScenario(scenario) : { quotas: {} };
  await project.scenario({ quotas });
  project.configureFleet(fleet);
  await project.up();
  const { output } = await project.pulumi(["stack", "output", "--json"]);
  const { inventory, collector } = Outputs.parse(JSON.parse(output));
  expect(inventory.nodes.map(({ key }) => key)).toEqual(keysOf(fleet).toSorted());
  expect(inventory.phase?.name).toBe(fleet.phase);
  const all = [...inventory.nodes, ...(collector === undefined ? [] : [collector])];
  expect(all.map(({ machineId }) => machineId).toSorted()).toEqual(machinesHeld());
}

it("takes one stack through the free tiers, a pilot and a grant, and leaves nothing at the end", async () => {
  await enter("free-tier-azure", example("free-tier-azure"));
  await enter("pilot", example("pilot"));
  expect(project.inWorld((world) => world.all("oci"))).toEqual([]);

  const collector = { host: { provider: "oci", region: "us-ashburn-1", size: "a1-1-6" } };
  const grant = { ...percentOf(example("grant"), machines), collector };
  await enter("grant", grant);
  // Every kind of resource that the program can declare was made once on the way.
  const made = new Set(
    project.inWorld((world) => world.calls().flatMap((call) => (call.operation === "create" ? [call.type] : []))),
  );
  const declared = [...declaredResources().values()].flatMap((rows) => rows.map(({ type }) => type));
  expect(declared.filter((type) => !type.startsWith("pulumi:") && !made.has(type))).toEqual([]);

  project.configureFleet(percentOf(example("grant"), 0));
  await project.up();
  const left = project.inWorld((world) => ["oci", "gcp", "azure-native"].flatMap((cloud) => world.all(cloud)));
  expect(left.map(({ id }) => id)).toEqual([]);
  expect((await project.inventory()).nodes).toEqual([]);
}, 1_200_000);
