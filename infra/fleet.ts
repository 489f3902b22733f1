import * as pulumi from "@pulumi/pulumi";
import { declareGroup } from "./group.ts";
import type { Inventory } from "./inventory.ts";
import { networkServices } from "./network-services.ts";
import type { FleetPlan, PlannedNode } from "./plan.ts";
import type { NodeOutputs, ServiceOutputs, SiteOutputs } from "./providers/provider.ts";
import type { Providers } from "./providers/registry.ts";

/**
 * Declares all that the plan wants, as a tree of fleet, groups, nodes and their parts, and last the inventory file.
 * Returns the inventory, which is known when every node is.
 */
export function declareFleet(plan: FleetPlan, stack: string, providers: Providers): pulumi.Output<Inventory> {
  const fleet = new pulumi.ComponentResource("gradientlab:fleet:Fleet", stack);
  const services = new Map(plan.services.map((name) => [name, new NetworkService(name, fleet)]));
  const sites = new Map(
    plan.sites.map((site) => [
      `${site.provider} ${site.region}`,
      providers.declare(site.provider).declareSite(fleet, site),
    ]),
  );
  const made = new Map<PlannedNode, NodeOutputs>();
  for (const group of plan.groups) {
    const service = (group.network === null ? undefined : services.get(group.network)) ?? null;
    const siteOf = ({ spec }: PlannedNode): SiteOutputs => sites.get(`${group.provider} ${spec.region}`) ?? {};
    const declared = declareGroup(fleet, group, providers.declare(group.provider), siteOf, service);
    for (const { planned, outputs } of declared) made.set(planned, outputs);
  }

  const outputs = plan.nodes.flatMap((planned) => made.get(planned) ?? []);
  const inventory = pulumi
    .all([
      pulumi.all(outputs.map((node) => node.machineId)),
      pulumi.all(outputs.map((node) => node.placement)),
      pulumi.all(outputs.map((node) => node.reach)),
    ])
    .apply(
      ([machineIds, placements, reaches]): Inventory => ({
        schema: 1,
        stack,
        phase: plan.phase,
        freeUntil: [],
        shared: [...plan.shared],
        nodes: plan.nodes.map(({ record }, index) => ({
          ...record,
          machineId: at(machineIds, index),
          placement: at(placements, index),
          reach: at(reaches, index),
        })),
      }),
    );
  const groups = Object.fromEntries(
    plan.groups.map(({ name, provider, workload, network, nodes }) => [
      name,
      `${nodes.length} × ${workload} on ${provider}, network ${network ?? "none"}`,
    ]),
  );
  new InventoryFile(stack, { groups, inventory: inventory.apply((value) => JSON.stringify(value)) }, fleet);
  return inventory;
}

function at<Value>(values: readonly Value[], index: number): Value {
  const value = values[index];
  if (value === undefined) throw new Error(`Node ${index} of the plan was not declared.`);
  return value;
}

/** The service of a network that runs beside the nodes. It goes when no node earns from the network any more. */
class NetworkService extends pulumi.CustomResource implements ServiceOutputs {
  declare readonly origin: pulumi.Output<string>;
  declare readonly extensionId: pulumi.Output<string>;
  declare readonly extensionVersion: pulumi.Output<string>;

  constructor(name: string, parent: pulumi.Resource) {
    const outputs = { origin: undefined, extensionId: undefined, extensionVersion: undefined };
    super(networkServices[name] ?? "", name, outputs, { parent });
  }
}

/**
 * The inventory as a file for the collector: the last resource, because its text depends on every node. `groups` says
 * in words what each group is, and is known in a preview too, where the text may not be.
 */
class InventoryFile extends pulumi.CustomResource {
  constructor(
    name: string,
    args: { readonly groups: Readonly<Record<string, string>>; readonly inventory: pulumi.Output<string> },
    parent: pulumi.Resource,
  ) {
    super("gradientlab:index:InventoryFile", name, args, { parent });
  }
}
