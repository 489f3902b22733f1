import { VirtualMachine } from "@pulumi/azure-native/compute/virtualMachine.js";
import { NetworkInterface } from "@pulumi/azure-native/network/networkInterface.js";
import { PublicIPAddress } from "@pulumi/azure-native/network/publicIPAddress.js";
import * as pulumi from "@pulumi/pulumi";
import { encodeUserData } from "../../../cloud-init/document.ts";
import { placementOf, sshReach } from "../cloud-machine.ts";
import { cloudName } from "../cloud-name.ts";
import type { NodeOutputs, NodeSpec } from "../provider.ts";
import { newestImage } from "./image.ts";
import type { Site } from "./network.ts";

/** The account that Azure insists on making. The operator's key is the only way into it. */
const adminUsername = "ubuntu";

/** Kinds of disks by the names that the config uses. */
const diskTypes: Readonly<Record<string, string>> = {
  "standard-ssd": "StandardSSD_LRS",
  "premium-ssd": "Premium_LRS",
};

/** Declares one machine that boots `userData`, with its address and its network interface. */
export function declareMachine(parent: pulumi.Resource, node: NodeSpec, userData: string, site: Site): NodeOutputs {
  const { domain, shape } = placementOf(node);
  const name = cloudName(site.stack, node.group, node.slot);
  const options = { parent, provider: site.provider };
  const common = {
    resourceGroupName: site.resourceGroupName,
    location: site.location,
    tags: { "gradientlab-stack": site.stack, "gradientlab-node": node.key },
  };

  const address = new PublicIPAddress(
    node.key,
    { ...common, publicIpAddressName: name, sku: { name: "Standard" }, publicIPAllocationMethod: "Static" },
    { ...options, replaceOnChanges: ["location"] },
  );
  const networkInterface = new NetworkInterface(
    node.key,
    {
      ...common,
      networkInterfaceName: name,
      ipConfigurations: [{ name: "public", subnet: { id: site.subnetId }, publicIPAddress: { id: address.id } }],
    },
    { ...options, replaceOnChanges: ["location"] },
  );
  const machine = new VirtualMachine(
    node.key,
    {
      ...common,
      vmName: name,
      ...(domain === "none" ? {} : { zones: [domain] }),
      hardwareProfile: { vmSize: shape },
      networkProfile: {
        // Detached, for it is a resource of its own, with its address: a renewed machine takes both over.
        networkInterfaces: [{ id: networkInterface.id, primary: true, deleteOption: "Detach" }],
      },
      osProfile: {
        adminUsername,
        computerName: name,
        customData: encodeUserData(userData, "gzip-base64"),
        linuxConfiguration: {
          disablePasswordAuthentication: true,
          ssh: {
            publicKeys: site.operatorKeys.map((keyData) => ({
              keyData,
              path: `/home/${adminUsername}/.ssh/authorized_keys`,
            })),
          },
        },
      },
      storageProfile: {
        imageReference: newestImage(node.arch),
        osDisk: {
          createOption: "FromImage",
          deleteOption: "Delete",
          diskSizeGB: node.diskGib,
          managedDisk: { storageAccountType: diskTypes[String(node.options.disk)] },
        },
      },
    },
    {
      ...options,
      // Azure refuses to change them on a machine that exists. They wait for a new machine revision, which takes them
      // as they are then.
      ignoreChanges: ["osProfile", "storageProfile.imageReference"],
      replacementTrigger: node.revision.machine,
      // What Azure would refuse to change, and its provider would try to.
      replaceOnChanges: ["location", "zones", "storageProfile.osDisk.managedDisk.storageAccountType"],
      deleteBeforeReplace: true,
    },
  );
  void machine.provisioningState.apply((state) => {
    if (state === "Failed")
      void pulumi.log.warn(`${node.key} failed at Azure, which keeps it as it is. npm run up has Azure try again.`);
  });
  const ip = address.ipAddress.apply((found) => found ?? "");
  return { machineId: machine.vmId, address: ip, placement: pulumi.output(domain), reach: sshReach(ip) };
}
