import {
  type BootOf,
  type BootParts,
  bootChoice,
  bootOf,
  bootProblems,
  collectorHostBoot,
  collectorHostProblems,
} from "./boot.ts";
import type { Demand } from "./budget.ts";
import type { CollectorHost, CustomSize, FleetConfig, GroupConfig, Known } from "./config.ts";
import { demandOf, freeEnds } from "./demand.ts";
import type { InventoryPhase, NodeRecord, PriceLine } from "./inventory.ts";
import { ledgersOf } from "./ledgers.ts";
import { networkFindings } from "./network-rules.ts";
import { placementsOf } from "./placement.ts";
import { listPrices } from "./price.ts";
import { type Problem, quoted } from "./problem.ts";
import type { Boot, NodeSpec, ProviderFacts, SiteSpec } from "./providers/provider.ts";
import { liveSlots } from "./slots.ts";

/** What a plan is made against, beside the config. */
export interface Surroundings extends Known {
  /** Names of the networks that have a service of the fleet's own, beside its nodes. */
  readonly services: ReadonlySet<string>;
  /** The architecture of the machine that the program runs on: that of nodes of size `host`. */
  readonly arch: NodeSpec["arch"];
  /** Public keys beside those of the config, and the agent's program. */
  readonly boot: BootParts;
}

/** One node: what its provider is told, and what the inventory says of it before its machine exists. */
export interface PlannedNode {
  readonly spec: NodeSpec;
  readonly record: Omit<NodeRecord, "machineId" | "placement" | "reach">;
  /** Made when it is read: a machine's document is some 80 kB, and a plan may have a thousand nodes. */
  readonly boot: Boot;
}

/** One group with its nodes by slot. */
export interface PlannedGroup {
  readonly name: string;
  readonly provider: string;
  readonly workload: string;
  readonly network: string | null;
  readonly nodes: readonly PlannedNode[];
}

/** The collector's own machine, with all that a provider is told of a node's. Its key is no node's. */
export interface PlannedHost {
  readonly provider: string;
  readonly spec: NodeSpec;
  /** Made when it is read: a command that only plans knows no keys. */
  readonly boot: Boot;
  readonly price: readonly PriceLine[];
}

/** What the fleet is to be: everything the declarations need, and nothing that depends on what is deployed. */
export interface FleetPlan {
  readonly groups: readonly PlannedGroup[];
  /** All nodes, sorted by key. */
  readonly nodes: readonly PlannedNode[];
  /** The collector's own machine; null where it runs here or elsewhere. */
  readonly collector: PlannedHost | null;
  readonly sites: readonly SiteSpec[];
  /** Networks whose service has to run for the nodes, sorted. */
  readonly services: readonly string[];
  /** Price lines of what nodes share. */
  readonly shared: readonly PriceLine[];
  readonly phase: InventoryPhase | null;
  /** What the fleet demands of the providers' accounts; null where it uses nothing of any. */
  readonly demand: Demand | null;
  /** When the accounts' free periods end, as the config and the ledgers have it. */
  readonly freeUntil: readonly { readonly account: string; readonly at: string }[];
  /** What cannot be made so. A plan with a refusal is never declared. */
  readonly refusals: readonly Problem[];
  /** What can be made so, and is hardly meant. */
  readonly warnings: readonly string[];
}

/** Returns the plan of a checked config. It depends on nothing else: not on the clock, nor on what is deployed. */
export function planFleet(config: FleetConfig, around: Surroundings): FleetPlan {
  const refusals: Problem[] = [];
  const parts = withKeysOf(config, around.boot);
  const groups = config.groups.map((group) =>
    planGroup(group, config, found(around.providers, group.provider), around, parts, refusals),
  );
  const collector = typeof config.collector === "string" ? null : planHost(config.collector, config, around, parts);
  if (collector !== null)
    refusals.push(
      ...collectorHostProblems(parts).filter(({ path }) => refusals.every((refusal) => refusal.path !== path)),
    );
  const sites: SiteSpec[] = [];
  const shared: PriceLine[] = [];
  for (const provider of providersOf(config)) {
    const facts = found(around.providers, provider);
    const specs = groups.flatMap((group) => (group.provider === provider ? group.nodes.map((node) => node.spec) : []));
    if (collector?.provider === provider) specs.push(collector.spec);
    const { id = "", options = {} } = config.accounts[provider] ?? {};
    if (id === "" && specs.length > 0 && facts.accountIs !== undefined)
      refusals.push({
        path: `gradientlab:fleet.accounts.${provider}`,
        value: undefined,
        message: `gradientlab:fleet.accounts.${provider} is missing, and machines would be made wherever this machine's credentials point.`,
        fix: `Write there ${facts.accountIs}.`,
      });
    for (const { region } of facts.sites(specs)) {
      const site = { provider, account: id, region, options };
      sites.push(site);
      shared.push(...listPrices(facts.usage(site), region, facts.ledger));
    }
  }

  const needed = new Set(groups.filter((group) => group.nodes.length > 0).map((group) => group.network));
  const findings = networkFindings(groups, around);
  // Where a group's network cannot be at all, how many nodes it has is no matter.
  refusals.push(...findings.refusals.filter(({ path }) => refusals.every((refusal) => refusal.path !== path)));
  const unreached =
    collector === null
      ? []
      : groups
          .filter(
            ({ nodes, provider }) => nodes.length > 0 && found(around.providers, provider).traits.device === "shared",
          )
          .map(
            ({ name }) =>
              `gradientlab:fleet.groups.${name} has its nodes on this machine, which the collector's own machine does not reach: nothing is heard of them there.`,
          );
  const demand = demandOf(config, { groups, collector, sites }, around);
  return {
    demand,
    freeUntil: freeEnds(demand, ledgersOf(around.providers)),
    warnings: [...findings.warnings, ...unreached],
    groups,
    nodes: groups.flatMap((group) => group.nodes).toSorted((a, b) => order(a.spec.key, b.spec.key)),
    collector,
    sites,
    services: [...around.services].filter((name) => needed.has(name)).toSorted(),
    shared,
    phase: phaseOf(config),
    refusals,
  };
}

/** A class, because a getter of a thousand objects' own takes longer than all the rest of a plan. */
class NodeInPlan implements PlannedNode {
  readonly spec: PlannedNode["spec"];
  readonly record: PlannedNode["record"];
  readonly #booting: BootOf;

  constructor(spec: PlannedNode["spec"], record: PlannedNode["record"], booting: BootOf) {
    this.spec = spec;
    this.record = record;
    this.#booting = booting;
  }

  get boot(): Boot {
    return bootOf(this.spec, this.#booting);
  }
}

function planGroup(
  group: GroupConfig,
  config: FleetConfig,
  facts: ProviderFacts,
  around: Surroundings,
  parts: BootParts,
  refusals: Problem[],
): PlannedGroup {
  const { name, provider, region, size, workload, network, revision, options } = group;
  const path = `gradientlab:fleet.groups.${name}`;
  const refuse = (field: string, value: unknown, message: string, fix: string): void => {
    refusals.push({ path: `${path}.${field}`, value: quoted(value), message: `${path}.${field} ${message}`, fix });
  };
  const descriptor = found(around.workloads, workload);
  const machine = machineOf(size, facts);
  const booting = { facts, descriptor, parts };
  const { kind, os } = bootChoice(facts, options);
  if (kind === "process" && network !== null && !around.services.has(network))
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
  const spread = placementsOf(name, facts.domains(region), machine.shapes);
  const prices = new Map<string, readonly PriceLine[]>();
  const nodes = liveSlots(group.count, group.retired).map((slot): PlannedNode => {
    const power = stopped.has(slot) ? "off" : "on";
    const key = `${name}/${slot}`;
    const placement = config.placements[key] ?? spread(slot);
    const spec: NodeSpec = {
      key,
      group: name,
      slot,
      region,
      ...hardwareOf(machine, placement, facts, around),
      os,
      ports: [],
      power,
      workload,
      network,
      revision,
      options,
    };
    // All of a group with one shape and power have one price.
    const price = prices.get(`${spec.shape} ${power}`) ?? listPrices(facts.usage(spec), region, facts.ledger);
    prices.set(`${spec.shape} ${power}`, price);
    const record: PlannedNode["record"] = {
      key,
      group: name,
      slot,
      ...(group.label === null ? {} : { label: group.label }),
      provider,
      region,
      arch: spec.arch,
      size: machine.name,
      workload,
      network,
      power,
      price: [...price],
      revision,
    };
    return new NodeInPlan(spec, record, booting);
  });
  // The last of each architecture stands for all of it: of a group's nodes, only that and the key's length differ.
  const last = new Map(nodes.map(({ spec }) => [spec.arch, spec]));
  const problems = (last.size === 0 ? [undefined] : [...last.values()]).flatMap((sample) =>
    bootProblems(sample, path, around.arch, booting),
  );
  // Keys that are missing are so for every architecture.
  for (const problem of problems)
    if (refusals.every(({ message }) => message !== problem.message)) refusals.push(problem);
  return { name, provider, workload, network, nodes };
}

/** The keys of the config beside those that are known anyway. */
function withKeysOf({ access }: FleetConfig, { keys, ...programs }: BootParts): BootParts {
  const { operator = [], collector = [] } = access?.keys ?? {};
  return {
    ...programs,
    keys: { operator: [...operator, ...keys.operator], collector: [...collector, ...keys.collector] },
  };
}

function phaseOf({ phase, phases }: FleetConfig): InventoryPhase | null {
  const current = phase === null ? undefined : phases[phase];
  if (phase === null || current === undefined) return null;
  const { end, then, budgetMicroUsdPerMonth } = current;
  return { name: phase, end, then, budgetMicroUsdPerMonth };
}

/** Returns the collector's machine as a node that belongs to no group. */
function planHost(
  { provider, region, size }: CollectorHost,
  config: FleetConfig,
  around: Surroundings,
  parts: BootParts,
): PlannedHost {
  const facts = found(around.providers, provider);
  const machine = machineOf(size, facts);
  const key = "collector";
  const placement = config.placements[key] ?? placementsOf(key, facts.domains(region), machine.shapes)(0);
  const options = facts.options.parse(facts.machine ?? {});
  const spec: NodeSpec = {
    key,
    group: key,
    slot: 0,
    region,
    ...hardwareOf(machine, placement, facts, around),
    os: bootChoice(facts, options).os,
    ports: [],
    power: "on",
    workload: key,
    network: null,
    revision: { machine: 1, software: 1 },
    options,
  };
  const price = listPrices(facts.usage(spec), region, facts.ledger);
  return {
    provider,
    spec,
    price,
    get boot() {
      return collectorHostBoot(spec, parts);
    },
  };
}

interface Machine {
  readonly name: string;
  readonly shapes: readonly string[];
  readonly cpus: number;
  readonly memoryMib: number;
  readonly diskGib: number;
}

function machineOf(size: string | CustomSize, { ledger }: ProviderFacts): Machine {
  // A size that the ledger does not have is that of a group without nodes.
  if (typeof size === "string")
    return { name: size, ...(ledger.sizes[size] ?? { shapes: [], cpus: 0, memoryMib: 0, diskGib: 0 }) };
  const { shape, cpus, memoryGib, diskGib } = size;
  return { name: shape, shapes: [shape], cpus, memoryMib: Math.round(memoryGib * 1024), diskGib };
}

/** Returns what a node's specification says of its machine: of the shape it is placed on, else of the size's first. */
function hardwareOf(
  { name, shapes, cpus, memoryMib, diskGib }: Machine,
  placement: NodeSpec["placement"],
  { ledger }: ProviderFacts,
  around: Surroundings,
): Pick<NodeSpec, "arch" | "size" | "shape" | "placement" | "cpus" | "memoryMib" | "diskGib"> {
  const [first = ""] = shapes;
  const shape = placement?.shape ?? first;
  const arch = ledger.shapes[shape]?.arch ?? "host";
  return { arch: arch === "host" ? around.arch : arch, size: name, shape, placement, cpus, memoryMib, diskGib };
}

/** Returns the providers of the groups and of the collector's machine, sorted. */
function providersOf({ groups, collector }: FleetConfig): string[] {
  const names = groups.map((group) => group.provider);
  return [...new Set(typeof collector === "string" ? names : [...names, collector.provider])].toSorted(order);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function found<Value>(known: ReadonlyMap<string, Value>, name: string): Value {
  const value = known.get(name);
  if (value === undefined) throw new Error(`The checked config names ${quoted(name)}, which was not found.`);
  return value;
}
