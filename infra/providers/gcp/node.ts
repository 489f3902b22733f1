import { Instance } from "@pulumi/gcp/compute/instance.js";
import type * as pulumi from "@pulumi/pulumi";
import { encodeUserData } from "../../../cloud-init/document.ts";
import { placementOf, sshReach } from "../cloud-machine.ts";
import { cloudName } from "../cloud-name.ts";
import type { NodeOutputs, NodeSpec } from "../provider.ts";
import type { Site } from "./network.ts";

/** Declares one machine that boots `userData`. */
export function declareMachine(parent: pulumi.Resource, node: NodeSpec, userData: string, site: Site): NodeOutputs {
  const { domain, shape } = placementOf(node);
  const labels = { "gradientlab-stack": cloudName(site.stack), "gradientlab-node": node.key.replace("/", "_") };
  const instance = new Instance(
    node.key,
    {
      name: cloudName(site.stack, node.group, node.slot),
      zone: domain,
      machineType: shape,
      bootDisk: {
        autoDelete: true,
        initializeParams: { image: site.image(node.arch), size: node.diskGib, type: "pd-standard", labels },
      },
      networkInterfaces: [{ subnetwork: site.subnetworkId, accessConfigs: [{ networkTier: "PREMIUM" }] }],
      // Metadata is text; cloud-init's data source there decodes it where this key says so, and unpacks it. As plain text
      // a thousand documents would be written into the state again with each step. No key of the project's comes in.
      metadata: {
        "user-data": encodeUserData(userData, "gzip-base64"),
        "user-data-encoding": "base64",
        "block-project-ssh-keys": "true",
      },
      desiredStatus: node.power === "on" ? "RUNNING" : "TERMINATED",
      // Another machine type is set on a stopped machine only.
      allowStoppingForUpdate: true,
      labels,
    },
    {
      parent,
      provider: site.provider,
      // Images are renewed each month, and a new one would replace the machine; new user data would stay unread until
      // then. Both wait for a new machine revision, which takes them as they are then.
      ignoreChanges: ["bootDisk.initializeParams.image", "metadata"],
      replacementTrigger: node.revision.machine,
      // The name is taken until the first is gone, and the free hours are those of one machine.
      deleteBeforeReplace: true,
    },
  );
  // A machine that is off has no address.
  const address = instance.networkInterfaces.apply((all) => all[0]?.accessConfigs?.[0]?.natIp ?? "");
  return { machineId: instance.instanceId, address, placement: instance.zone, reach: sshReach(address) };
}
