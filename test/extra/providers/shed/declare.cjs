const pulumi = require("@pulumi/pulumi");

/**
 * What the engine adds to a machine.
 * @typedef {{ machineId: pulumi.Output<string>, reach: pulumi.Output<import("../../../../infra/inventory.ts").Reach> }} Made
 */

class Machine extends pulumi.CustomResource {
  /** @param {string} name @param {Record<string, unknown>} inputs @param {pulumi.Resource} parent */
  constructor(name, inputs, parent) {
    super("gradientlab:index:ProcessNode", name, { ...inputs, machineId: undefined, reach: undefined }, { parent });
  }
}

/** @type {import("../../../../infra/providers/provider.ts").ProviderDeclare} */
exports.declarations = {
  declareSite: (_fleet, site) => ({ placement: pulumi.output(`${site.region}-1`) }),
  declare(parent, { key, workload, network, power, revision, options }, boot, { placement }, service) {
    if (placement === undefined) throw new Error(`the site of ${key} was not declared`);
    const { kind: _, ...processes } = boot;
    const { everySeconds } = options;
    const node = { key, workload, boot: JSON.stringify(processes), network, power, revision, everySeconds };
    const inputs =
      service === null
        ? { node }
        : { node, service: { origin: service.origin, extensionVersion: service.extensionVersion } };
    const { machineId, reach } = /** @type {Machine & Made} */ (new Machine(key, inputs, parent));
    return { machineId, address: pulumi.output("127.0.0.1"), placement, reach };
  },
};
