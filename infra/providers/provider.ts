import type * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import type { UserDataEncoding } from "../../cloud-init/document.ts";
import type { Probe, WorkloadDescriptor } from "../../cloud-init/workloads/descriptor.ts";
import type { Reach } from "../inventory.ts";
import type { Ledger } from "../ledger.ts";

/**
 * The seam between the fleet and a provider. A provider is a folder with two files of fixed roles: `facts.ts` (pure
 * data and functions, no SDK import; it exports `facts`) and `declare.ts` (loaded only when the config names the
 * provider; it exports `declarations`). Providers are found by folder.
 */

export type OsName = "ubuntu-24.04" | "debian-12" | "host";
export type BootKind = "user-data" | "ssh" | "process";

/** A node as the plan wants it: everything a provider may need to know, nothing of how it makes one. */
export interface NodeSpec {
  readonly key: string;
  readonly group: string;
  readonly slot: number;
  readonly region: string;
  readonly arch: "x64" | "arm64";
  readonly size: string;
  /** The machine type that stands for the size, by the provider's own name. */
  readonly shape: string;
  /**
   * Where among the region's failure domains the machine goes, and as which machine type: as the config's `placements`
   * say, else as the plan spreads them. Null where the provider has no domains.
   */
  readonly placement: Placement | null;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly diskGib: number;
  readonly os: OsName;
  readonly ports: readonly { readonly port: number; readonly protocol: "tcp" | "udp" }[];
  readonly power: "on" | "off";
  readonly workload: string;
  readonly network: string | null;
  readonly revision: { readonly machine: number; readonly software: number };
  readonly options: Readonly<Record<string, unknown>>;
}

/** A failure domain, named as the provider does without any account's prefix, and a machine type. */
export interface Placement {
  readonly domain: string;
  readonly shape: string;
}

/** What nodes of one account and region share. */
export interface SiteSpec {
  readonly provider: string;
  readonly account: string;
  readonly region: string;
  /** What the config says of the account, as the provider's `accountOptions` read it. */
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * An amount of a quantity of the provider's ledger that is used as long as the thing exists, in the quantity's unit.
 * What is `off` counts towards limits and is not billed.
 */
export interface Usage {
  readonly quantity: string;
  readonly amount: number;
  readonly off?: true;
}

/** What an operator has read and acknowledges in the config before anything of it is made. */
export interface Terms {
  /** The name under `acknowledge` in the config. */
  readonly name: string;
  /** A sentence that says what the terms are about. */
  readonly says: string;
  readonly read: string;
}

/** How a node's machine comes to life. The first two are rendered from one document. */
export type Boot =
  | { readonly kind: "user-data"; readonly text: string }
  | { readonly kind: "ssh"; readonly script: string }
  | ({ readonly kind: "process" } & ProcessBoot);

/** A workload as processes: what its descriptor says, with files named as in the workload's folder. */
export interface ProcessBoot {
  readonly units: WorkloadDescriptor["process"]["units"];
  readonly needs: WorkloadDescriptor["process"]["needs"];
  readonly files: readonly string[];
  readonly probes: { readonly runtime: Probe; readonly app: Probe | null };
  readonly heartbeatStaleSeconds?: number;
}

export interface ProviderFacts<Options = Readonly<Record<string, unknown>>> {
  readonly name: string;
  /** True for the one provider that the short form of the config uses. */
  readonly default?: true;
  readonly options: z.ZodType<Options>;
  /** What names an account, as `the tenancy's OCID`: without it nothing is made. Left out where there are no accounts. */
  readonly accountIs?: string;
  /** What the config may say of the provider's account, beside what it says of any. */
  readonly accountOptions: z.ZodType<Readonly<Record<string, unknown>>>;
  readonly regions: readonly string[] | "any";
  readonly defaultRegion: string | null;
  readonly traits: {
    readonly boot: readonly BootKind[];
    /** The most bytes that user data may have, encoded as `userData` says; null where nothing limits it. */
    readonly bootLimitBytes: number | null;
    /** How the provider takes user data; without it as it stands. */
    readonly userData?: UserDataEncoding;
    readonly inboundPorts: boolean;
    readonly power: boolean;
    /** Whether each node is a device with an address of its own, or all share this machine. */
    readonly device: "own" | "shared";
    readonly spareCapacity: boolean;
    readonly billing: { readonly unitSeconds: number };
    readonly os: readonly OsName[];
  };
  /**
   * Texts in which the provider says that it has no room for a machine in a domain, so that another one may have, and that
   * an account may have no more of it anywhere. Left out where a provider says neither.
   */
  readonly capacity?: { readonly exhausted: readonly RegExp[]; readonly limit: readonly RegExp[] };
  /** What to do about texts in which the provider refuses something else, each a sentence; the first that fits counts. */
  readonly advice?: readonly { readonly says: RegExp; readonly fix: string }[];
  /**
   * How the engine's state tells of a machine that was accepted and then failed, where the provider keeps such a machine
   * and a look at it finds nothing wrong: the resource's type, and a property of it with its value.
   */
  readonly failedMachine?: { readonly type: string; readonly property: string; readonly value: string };
  readonly ledger: Ledger;
  /** Returns how a node with these options boots and its system, where options decide; else the first of the traits. */
  bootOf?(options: Options): { readonly kind: BootKind; readonly os: OsName };
  /** The options with which the collector's own machine is made; without them, the usual ones. */
  readonly machine?: Readonly<Record<string, unknown>>;
  /** Terms to acknowledge; empty where the provider has none. */
  readonly terms: readonly Terms[];
  /** Returns the failure domains of a region in the provider's order; empty where the provider has none. */
  domains(region: string): readonly string[];
  /** Returns what these nodes share: its region and, of each, the provider's name; one for each region, sorted. */
  sites(nodes: readonly NodeSpec[]): readonly { readonly region: string }[];
  /** Returns what a node or a site uses of its account, powered as it is. */
  usage(what: NodeSpec | SiteSpec): readonly Usage[];
}

/** What takes long to make ready on this machine before a provider makes nodes: `prepare.ts` of its folder exports one. */
export interface ProviderPreparation {
  /** The provider's name. */
  readonly provider: string;
  /** What is made ready, for a line of progress. */
  readonly name: string;
  /** Returns whether these nodes of the provider need it. */
  needed(nodes: readonly NodeSpec[]): boolean;
  /**
   * Makes it ready where it is not, tells `say` each line of it, and returns what is there in a few words. Throws
   * `ExplainedError` in one sentence where this machine lacks something for it.
   */
  prepare(say: (line: string) => void, signal?: AbortSignal): Promise<string>;
}

/** What the inventory needs to know of a node, once the engine has made it. */
export interface NodeOutputs {
  readonly machineId: pulumi.Output<string>;
  readonly address: pulumi.Output<string>;
  readonly placement: pulumi.Output<string>;
  readonly reach: pulumi.Output<Reach>;
}

/** What a site gives to its nodes, by names that only the provider knows. */
export type SiteOutputs = Readonly<Record<string, pulumi.Output<string>>>;

/** What the service of a network tells the nodes that earn from it. */
export interface ServiceOutputs {
  readonly origin: pulumi.Output<string>;
  readonly extensionId: pulumi.Output<string>;
  readonly extensionVersion: pulumi.Output<string>;
}

/** One account of a provider, and what the plan lets it hold and cost. */
export interface AccountSpec {
  readonly account: string;
  /** What the config says of the account, as the provider's `accountOptions` read it. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly stack: string;
  /** The regions with a site, sorted. */
  readonly regions: readonly string[];
  readonly nodes: readonly NodeSpec[];
  /** What the phase lets a month cost; null without a phase. */
  readonly budgetMicroUsdPerMonth: number | null;
  /** First day of the month (UTC, `YYYY-MM-01`) from which the budget counts. */
  readonly budgetFrom: string;
}

/** Who may reach the nodes of a site, and what its resources wait for. */
export interface SiteAccess {
  readonly stack: string;
  /** Ranges of IPv4 addresses that SSH is open to, sorted. Nothing else comes in. */
  readonly sshFrom: readonly string[];
  /** Public keys of the operator, in OpenSSH's form. */
  readonly operatorKeys: readonly string[];
  /** What has to stand before anything of the site is made: the account's quota. */
  readonly after: readonly pulumi.Resource[];
}

/** The other half of a provider, `declarations` of `declare.ts`: it declares what the plan wants. */
export interface ProviderDeclare<Site = SiteOutputs> {
  /** Declares what an account has once, its quota and its budget, and returns what its sites have to wait for. */
  declareAccount?(fleet: pulumi.Resource, account: AccountSpec): readonly pulumi.Resource[];
  /** Declares what nodes share. `fleet` is the parent, never a group, so that no group's end takes it away. */
  declareSite(fleet: pulumi.Resource, site: SiteSpec, access: SiteAccess): Site;
  /** Opens a site's SSH to one more IPv4 address, which is known only once its machine is made: the collector's. */
  admit?(fleet: pulumi.Resource, site: Site, name: string, address: pulumi.Output<string>): void;
  /** Declares one node under `parent`. `service` is that of the node's network, null where it has none of its own. */
  declare(parent: pulumi.Resource, node: NodeSpec, boot: Boot, site: Site, service: ServiceOutputs | null): NodeOutputs;
}
