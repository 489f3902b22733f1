import { Instance } from "@pulumi/oci/core/instance.js";
import type * as pulumi from "@pulumi/pulumi";
import { encodeUserData } from "../../../cloud-init/document.ts";
import { placementOf, sshReach } from "../cloud-machine.ts";
import { cloudName } from "../cloud-name.ts";
import type { NodeOutputs, NodeSpec } from "../provider.ts";
import type { Site } from "./network.ts";

/** Declares one machine that boots `userData`. */
export function declareMachine(parent: pulumi.Resource, node: NodeSpec, userData: string, site: Site): NodeOutputs {
  const { domain, shape } = placementOf(node);
  const instance = new Instance(
    node.key,
    {
      compartmentId: site.compartmentId,
      availabilityDomain: site.domain(domain),
      displayName: cloudName(site.stack, node.group, node.slot),
      shape,
      ...(shape.endsWith(".Flex") ? { shapeConfig: { ocpus: node.cpus, memoryInGbs: node.memoryMib / 1024 } } : {}),
      sourceDetails: {
        sourceType: "image",
        sourceId: site.image(shape),
        bootVolumeSizeInGbs: String(node.diskGib),
      },
      createVnicDetails: {
        subnetId: site.subnetId,
        assignPublicIp: "true",
        nsgIds: [site.securityGroupId],
      },
      metadata: { user_data: encodeUserData(userData, "gzip-base64") },
      instanceOptions: { areLegacyImdsEndpointsDisabled: true },
      state: node.power === "on" ? "RUNNING" : "STOPPED",
      freeformTags: { "gradientlab-stack": site.stack, "gradientlab-node": node.key },
    },
    {
      parent,
      provider: site.provider,
      // Images are renewed each month, and a new one would swap the boot volume in place; other user data would replace
      // the machine. Both wait for a new machine revision, which takes them as they are then.
      ignoreChanges: ["sourceDetails.sourceId", "metadata"],
      replacementTrigger: node.revision.machine,
      // The free allowance has no room for two.
      deleteBeforeReplace: true,
    },
  );
  return {
    machineId: instance.id,
    address: instance.publicIp,
    placement: instance.availabilityDomain,
    reach: sshReach(instance.publicIp),
  };
}
