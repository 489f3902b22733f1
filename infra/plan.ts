import type { FleetConfig, GroupConfig, Known } from "./config.ts";
import type { InventoryPhase, NodeRecord, PriceLine } from "./inventory.ts";
import { type Problem, quoted } from "./problem.ts";
import type { Boot, NodeSpec, ProviderFacts, SiteSpec } from "./providers/provider.ts";
import { liveSlots } from "./slots.ts";

/** What a plan is made against, beside the config. */
export interface Surroundings extends Known {
  /** Names of the networks that have a service of the fleet's own, beside its nodes. */
  readonly services: ReadonlySet<string>;
  /** The architecture of the machine that the program runs on: that of nodes of size `host`. */
  readonly arch: NodeSpec["arch"];
}

/** One node: what its provider is told, and what the inventory says of it before its machine exists. */
export interface PlannedNode {
  readonly spec: NodeSpec;
  readonly record: Omit<NodeRecord, "machineId" | "placement" | "reach">;
}

/** One group with its nodes by slot. All nodes of a group boot the same way. */
export interface PlannedGroup {
  readonly name: string;
  readonly provider: string;
  readonly workload: string;
  readonly network: string | null;
  readonly boot: Boot;
  readonly nodes: readonly PlannedNode[];
}

/** What the fleet is to be: everything the declarations need, and nothing that depends on what is deployed. */
export interface FleetPlan {
  readonly groups: readonly PlannedGroup[];
  /** All nodes, sorted by key. */
  readonly nodes: readonly PlannedNode[];
  readonly sites: readonly SiteSpec[];
  /** Networks whose service has to run for the nodes, sorted. */
  readonly services: readonly string[];
  /** Price lines of what nodes share. */
  readonly shared: readonly PriceLine[];
  readonly phase: InventoryPhase | null;
  /** What cannot be made so. A plan with a refusal is never declared. */
  readonly refusals: readonly Problem[];
}

/** Returns the plan of a checked config. `at` is the instant (UTC) whose limits and prices hold. */
export function planFleet(config: FleetConfig, around: Surroundings, at: Date): FleetPlan {
  const refusals: Problem[] = [];
  const groups: PlannedGroup[] = [];
  const sites: SiteSpec[] = [];
  const shared: PriceLine[] = [];
  const month = at.toISOString().slice(0, 7);

  for (const [provider, configs] of byProvider(config.groups)) {
    const facts = found(around.providers, provider);
    const planned = configs.map((group) => planGroup(group, facts, around, month, refusals));
    groups.push(...planned);
    const specs = planned.flatMap((group) => group.nodes.map((node) => node.spec));
    refusals.push(...facts.limits(specs, config.accounts[provider] ?? "", facts.ledger, at));
    for (const site of facts.sites(specs)) {
      sites.push(site);
      shared.push(...facts.price(site, month, facts.ledger));
    }
  }

  const needed = new Set(groups.filter((group) => group.nodes.length > 0).map((group) => group.network));
  return {
    groups: groups.toSorted((a, b) => order(a.name, b.name)),
    nodes: groups.flatMap((group) => group.nodes).toSorted((a, b) => order(a.spec.key, b.spec.key)),
    sites,
    services: [...around.services].filter((name) => needed.has(name)).toSorted(),
    shared,
    phase: phaseOf(config),
    refusals,
  };
}

function planGroup(
  group: GroupConfig,
  facts: ProviderFacts,
  around: Surroundings,
  month: string,
  refusals: Problem[],
): PlannedGroup {
  const { name, provider, region, size, workload, network, revision, options } = group;
  const path = `gradientlab:fleet.groups.${name}`;
  const refuse = (field: string, value: unknown, message: string, fix: string): void => {
    refusals.push({ path: `${path}.${field}`, value: quoted(value), message: `${path}.${field} ${message}`, fix });
  };
  const descriptor = found(around.workloads, workload);
  const machine =
    typeof size === "string"
      ? found(new Map(Object.entries(facts.ledger.sizes)), size)
      : { cpus: size.cpus, memoryMib: Math.round(size.memoryGib * 1024), diskGib: size.diskGib, arch: "host" as const };
  const sizeName = typeof size === "string" ? size : size.shape;

  if (!facts.traits.boot.includes("process"))
    refuse(
      "provider",
      provider,
      `is ${quoted(provider)}, whose machines boot by ${facts.traits.boot.join(" or ")}, and the workload ${workload} is described for processes only.`,
      "Choose a provider that runs nodes as processes.",
    );
  if (network !== null && !around.services.has(network))
    refuse(
      "network",
      network,
      `is ${quoted(network)}, and a node that runs as processes earns from a network with a service of its own only.`,
      `Choose one of: ${[...around.services].toSorted().join(", ")}, or write null for none.`,
    );
  if (group.stopped.length > 0 && !facts.traits.power)
    refuse(
      "stopped",
      group.stopped,
      `is ${quoted(group.stopped)}, and machines of ${provider} cannot be powered off.`,
      "Remove it, or retire the slots.",
    );

  const stopped = new Set(group.stopped);
  const arch = machine.arch === "host" ? around.arch : machine.arch;
  const [os = "host"] = facts.traits.os;
  const nodes = liveSlots(group.count, group.retired).map((slot): PlannedNode => {
    const power = stopped.has(slot) ? "off" : "on";
    const spec: NodeSpec = {
      key: `${name}/${slot}`,
      group: name,
      slot,
      region,
      arch,
      size: sizeName,
      cpus: machine.cpus,
      memoryMib: machine.memoryMib,
      diskGib: machine.diskGib,
      os,
      ports: [],
      power,
      workload,
      network,
      revision,
      options,
    };
    return {
      spec,
      record: {
        key: spec.key,
        group: name,
        slot,
        ...(group.label === null ? {} : { label: group.label }),
        provider,
        region,
        arch,
        size: sizeName,
        workload,
        network,
        power,
        price: [...facts.price(spec, month, facts.ledger)],
        revision,
      },
    };
  });
  const { process, probes, heartbeatStaleSeconds } = descriptor;
  return {
    name,
    provider,
    workload,
    network,
    boot: {
      kind: "process",
      ...process,
      probes,
      ...(heartbeatStaleSeconds === undefined ? {} : { heartbeatStaleSeconds }),
    },
    nodes,
  };
}

function phaseOf({ phase, phases }: FleetConfig): InventoryPhase | null {
  const current = phase === null ? undefined : phases[phase];
  if (phase === null || current === undefined) return null;
  const { end, then, budgetMicroUsdPerMonth } = current;
  return { name: phase, end, then, budgetMicroUsdPerMonth };
}

function byProvider(groups: readonly GroupConfig[]): [string, GroupConfig[]][] {
  const names = [...new Set(groups.map((group) => group.provider))].toSorted(order);
  return names.map((name) => [name, groups.filter((group) => group.provider === name)]);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function found<Value>(known: ReadonlyMap<string, Value>, name: string): Value {
  const value = known.get(name);
  if (value === undefined) throw new Error(`The checked config names ${quoted(name)}, which was not found.`);
  return value;
}
