import type * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import type { Probe, WorkloadDescriptor } from "../../cloud-init/workloads/descriptor.ts";
import type { PriceLine, Reach } from "../inventory.ts";
import type { Problem } from "../problem.ts";

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

/** What nodes of one account and region share. */
export interface SiteSpec {
  readonly provider: string;
  readonly account: string;
  readonly region: string;
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

/** A size of machine a provider offers, by the name used in config. */
export interface MachineSize {
  readonly cpus: number;
  readonly memoryMib: number;
  readonly diskGib: number;
  readonly arch: "x64" | "arm64" | "host";
}

/** Dated limits and prices of a provider: issue-neutral data, empty where a provider costs nothing. */
export interface Ledger {
  readonly sizes: Readonly<Record<string, MachineSize>>;
}

export interface ProviderFacts<Options = Readonly<Record<string, unknown>>> {
  readonly name: string;
  /** True for the one provider that the short form of the config uses. */
  readonly default?: true;
  readonly options: z.ZodType<Options>;
  readonly regions: readonly string[] | "any";
  readonly defaultRegion: string | null;
  readonly traits: {
    readonly boot: readonly BootKind[];
    readonly bootLimitBytes: number | null;
    readonly inboundPorts: boolean;
    readonly power: boolean;
    readonly spareCapacity: boolean;
    readonly billing: { readonly unitSeconds: number };
    readonly os: readonly OsName[];
  };
  readonly ledger: Ledger;
  /** Returns what these nodes would exceed, given the account and the instant `at` (UTC). */
  limits(nodes: readonly NodeSpec[], account: string, ledger: Ledger, at: Date): readonly Problem[];
  /** Returns what these nodes share, one for each account and region, sorted. */
  sites(nodes: readonly NodeSpec[]): readonly SiteSpec[];
  /** Returns the price lines of a node or a site in `month` (`YYYY-MM`), in micro-dollars a month. */
  price(what: NodeSpec | SiteSpec, month: string, ledger: Ledger): readonly PriceLine[];
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

/** The other half of a provider, `declarations` of `declare.ts`: it declares what the plan wants. */
export interface ProviderDeclare {
  /** Declares what nodes share. `fleet` is the parent, never a group, so that no group's end takes it away. */
  declareSite(fleet: pulumi.Resource, site: SiteSpec): SiteOutputs;
  /** Declares one node under `parent`. `service` is that of the node's network, null where it has none of its own. */
  declare(
    parent: pulumi.Resource,
    node: NodeSpec,
    boot: Boot,
    site: SiteOutputs,
    service: ServiceOutputs | null,
  ): NodeOutputs;
}
