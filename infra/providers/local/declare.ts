import * as pulumi from "@pulumi/pulumi";
import type { Boot, ProviderDeclare } from "../provider.ts";
import { MachineNode, ProcessNode } from "./node.ts";

// The same for every node, and so one output for all of them.
const address = pulumi.output("127.0.0.1");
const placement = pulumi.output("this-machine");

const texts = new WeakMap<Boot, string>();

/** Returns the boot as JSON. All nodes of a group have the same boot, so it is written once. */
function textOf(boot: Boot): string {
  const text = texts.get(boot) ?? JSON.stringify({ ...boot, kind: undefined });
  texts.set(boot, text);
  return text;
}

export const declarations: ProviderDeclare = {
  declareSite: () => ({}),
  declare(parent, spec, boot, _site, service) {
    const { key, workload, network, power, revision, options } = spec;
    if (boot.kind === "user-data") {
      const { arch, cpus, memoryMib, diskGib } = spec;
      const node = { key, power, revision, arch, cpus, memoryMib, diskGib };
      const args = { node, userData: boot.text, network };
      const { machineId, reach } = new MachineNode(
        key,
        service === null
          ? args
          : { ...args, service: { origin: service.origin, extensionVersion: service.extensionVersion } },
        { parent },
      );
      return { machineId, address, placement, reach };
    }
    const node = {
      key,
      workload,
      boot: textOf(boot),
      network,
      power,
      revision,
      everySeconds: Number(options.everySeconds),
    };
    const { machineId, reach } = new ProcessNode(
      key,
      service === null
        ? { node }
        : { node, service: { origin: service.origin, extensionVersion: service.extensionVersion } },
      { parent },
    );
    return { machineId, address, placement, reach };
  },
};
