import * as pulumi from "@pulumi/pulumi";
import { type Access, sshRanges } from "./access.ts";
import { adviceOn } from "./advice.ts";
import type { Demand } from "./budget.ts";
import { declareGroup } from "./group.ts";
import type { Inventory, Reach } from "./inventory.ts";
import { networkServices } from "./network-services.ts";
import type { FleetPlan, PlannedHost, PlannedNode } from "./plan.ts";
import type {
  AccountSpec,
  NodeOutputs,
  NodeSpec,
  ProviderFacts,
  ServiceOutputs,
  SiteAccess,
  SiteOutputs,
} from "./providers/provider.ts";
import type { Providers } from "./providers/registry.ts";

/** What the declarations need beside the plan. */
export interface Around {
  readonly stack: string;
  readonly providers: Providers;
  readonly access: Access | null | undefined;
  /** First day of the month (UTC, `YYYY-MM-01`) from which a new budget counts. */
  readonly budgetFrom: string;
}

/** What the program tells the engine. */
export interface FleetOutputs {
  /** Known when every node is. */
  readonly inventory: pulumi.Output<Inventory>;
  /** The collector's own machine, where the fleet has one. */
  readonly collector?: {
    readonly arch: NodeSpec["arch"];
    readonly machineId: pulumi.Output<string>;
    readonly address: pulumi.Output<string>;
    readonly reach: pulumi.Output<Reach>;
  };
}

/**
 * Declares all that the plan wants, as a tree of fleet, groups, nodes and their parts, and last the inventory file.
 * Returns the outputs of the stack.
 */
export function declareFleet(plan: FleetPlan, { stack, providers, access, budgetFrom }: Around): FleetOutputs {
  const used = new Set(plan.sites.map((site) => site.provider));
  const facts = [...providers.facts.values()].filter(({ name }) => used.has(name));
  const fleet = declareRoot(stack, plan.demand, facts);
  const services = new Map(plan.services.map((name) => [name, new NetworkService(name, fleet)]));
  const sites = declareSites(fleet, plan, { stack, providers, access, budgetFrom });
  const host = plan.collector;
  const collector = host === null ? null : declareCollector(fleet, host, plan, sites, providers);
  const made = new Map<PlannedNode, NodeOutputs>();
  for (const group of plan.groups) {
    const service = (group.network === null ? undefined : services.get(group.network)) ?? null;
    const siteOf = ({ spec }: PlannedNode): SiteOutputs => sites.get(siteKey(group.provider, spec.region)) ?? {};
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
        freeUntil: [...plan.freeUntil],
        shared: [...plan.shared],
        nodes: plan.nodes.map(({ record }, index) => ({
          ...record,
          machineId: at(machineIds, index),
          placement: at(placements, index),
          reach: through(access, at(reaches, index)),
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
  if (host === null || collector === null) return { inventory };
  void pulumi.log.info("What the collector's own machine runs is brought to it by: npm run up");
  const { machineId, address, reach } = collector;
  return { inventory, collector: { arch: host.spec.arch, machineId, address, reach } };
}

/**
 * Declares the fleet's component and, where the plan uses anything that costs or is limited, the record of what was
 * accepted. Every other resource below the fleet, whoever declares it, is made to depend on that record, and is told of
 * in a sentence where its provider refuses it.
 */
function declareRoot(stack: string, demand: Demand | null, facts: readonly ProviderFacts[]): pulumi.ComponentResource {
  if (demand === null) return new pulumi.ComponentResource("gradientlab:fleet:Fleet", stack);
  let budget: Budget | undefined;
  const onError = adviceHook(facts);
  const afterBudget: pulumi.ResourceTransformation = ({ type, props, opts }) =>
    budget === undefined || type.startsWith("gradientlab:fleet:")
      ? undefined
      : { props, opts: pulumi.mergeOptions(opts, { dependsOn: budget, hooks: { onError: [onError] } }) };
  const fleet = new pulumi.ComponentResource("gradientlab:fleet:Fleet", stack, {}, { transformations: [afterBudget] });
  budget = new Budget(stack, demand, fleet);
  return fleet;
}

/**
 * Returns the hook that says, in a plain `pulumi up` too, what to do where a provider refused a resource; the same sentence
 * once. The engine is not asked to try again: the clouds' plugins do that themselves where it helps.
 */
function adviceHook(facts: readonly ProviderFacts[]): pulumi.ErrorHook {
  const said = new Set<string>();
  return new pulumi.ErrorHook("advice", ({ name, errors }) => {
    for (const advice of errors.flatMap((text) => facts.flatMap((each) => adviceOn(name, text, each) ?? []))) {
      if (said.has(advice)) continue;
      said.add(advice);
      void pulumi.log.warn(advice);
    }
    return false;
  });
}

/** What the sites of a plan made, by provider and region. */
type Sites = ReadonlyMap<string, SiteOutputs>;

function siteKey(provider: string, region: string): string {
  return `${provider} ${region}`;
}

/** Declares each account's limits, and then the sites that wait for them. */
function declareSites(fleet: pulumi.Resource, plan: FleetPlan, around: Around): Sites {
  const { stack, providers, access, budgetFrom } = around;
  const sites = new Map<string, SiteOutputs>();
  for (const provider of new Set(plan.sites.map((site) => site.provider))) {
    const declare = providers.declare(provider);
    const ofProvider = plan.sites.filter((site) => site.provider === provider);
    const [first] = ofProvider;
    if (first === undefined) continue;
    const account: AccountSpec = {
      account: first.account,
      options: first.options,
      stack,
      regions: ofProvider.map(({ region }) => region),
      nodes: specsOf(plan, provider),
      budgetMicroUsdPerMonth: plan.phase?.budgetMicroUsdPerMonth ?? null,
      budgetFrom,
    };
    const ofSite: SiteAccess = {
      stack,
      sshFrom: sshRanges(access),
      operatorKeys: access?.keys?.operator ?? [],
      after: declare.declareAccount?.(fleet, account) ?? [],
    };
    for (const site of ofProvider) sites.set(siteKey(provider, site.region), declare.declareSite(fleet, site, ofSite));
  }
  return sites;
}

function specsOf({ groups, collector }: FleetPlan, provider: string): NodeSpec[] {
  const nodes = groups.flatMap((group) => (group.provider === provider ? group.nodes.map(({ spec }) => spec) : []));
  return collector?.provider === provider ? [...nodes, collector.spec] : nodes;
}

/** Declares the collector's own machine, and opens every site to it. */
function declareCollector(
  fleet: pulumi.Resource,
  { provider, spec, boot }: PlannedHost,
  plan: FleetPlan,
  sites: Sites,
  providers: Providers,
): NodeOutputs {
  const parent = new pulumi.ComponentResource("gradientlab:fleet:Collector", spec.key, {}, { parent: fleet });
  const own = sites.get(siteKey(provider, spec.region)) ?? {};
  const outputs = providers.declare(provider).declare(parent, spec, boot, own, null);
  for (const site of plan.sites) {
    const made = sites.get(siteKey(site.provider, site.region));
    if (made !== undefined) providers.declare(site.provider).admit?.(fleet, made, spec.key, outputs.address);
  }
  return outputs;
}

/** Returns how a node is reached: where the config names a jump host, through it. */
function through(access: Access | null | undefined, reach: Reach): Reach {
  return reach.kind === "ssh" && access?.jump !== undefined ? { ...reach, jump: access.jump } : reach;
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

/** What was last accepted of all accounts: our own plugin judges it in the engine's check, and refuses what it may not. */
class Budget extends pulumi.CustomResource {
  constructor(name: string, demand: Demand, parent: pulumi.Resource) {
    super("gradientlab:index:Budget", name, demand, { parent });
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
