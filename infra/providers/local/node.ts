import * as pulumi from "@pulumi/pulumi";
import type { Reach } from "../../inventory.ts";

/** What the plugin is told of a node; the plugin's own schema is the judge of it. */
export interface ProcessNodeArgs {
  /** One field for all that is known beforehand: each field of a resource costs the program a dozen promises. */
  readonly node: {
    readonly key: string;
    readonly workload: string;
    /** The workload as processes, as JSON. */
    readonly boot: string;
    readonly network: string | null;
    readonly power: "on" | "off";
    readonly revision: { readonly machine: number; readonly software: number };
    readonly everySeconds: number;
  };
  /** The service of the node's network, where it has one of its own. */
  readonly service?: { readonly origin: pulumi.Output<string>; readonly extensionVersion: pulumi.Output<string> };
}

/** A node as a supervised group of processes on this machine. */
export class ProcessNode extends pulumi.CustomResource {
  declare readonly machineId: pulumi.Output<string>;
  declare readonly reach: pulumi.Output<Reach>;

  constructor(name: string, args: ProcessNodeArgs, options: pulumi.CustomResourceOptions) {
    super("gradientlab:index:ProcessNode", name, { ...args, machineId: undefined, reach: undefined }, options);
  }
}

/** What the plugin is told of a machine. What it boots from is a text of its own: a change of it alone changes nothing. */
export interface MachineNodeArgs {
  readonly node: {
    readonly key: string;
    readonly power: "on" | "off";
    readonly revision: { readonly machine: number; readonly software: number };
    readonly arch: "x64" | "arm64";
    readonly cpus: number;
    readonly memoryMib: number;
    readonly diskGib: number;
  };
  readonly userData: string;
  readonly network: string | null;
  /** The service of the node's network, where it has one of its own. */
  readonly service?: NonNullable<ProcessNodeArgs["service"]>;
}

/** A node as a virtual machine on this machine. */
export class MachineNode extends pulumi.CustomResource {
  declare readonly machineId: pulumi.Output<string>;
  declare readonly reach: pulumi.Output<Reach>;

  constructor(name: string, args: MachineNodeArgs, options: pulumi.CustomResourceOptions) {
    super("gradientlab:index:MachineNode", name, { ...args, machineId: undefined, reach: undefined }, options);
  }
}
