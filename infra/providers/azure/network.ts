import { NetworkSecurityGroup } from "@pulumi/azure-native/network/networkSecurityGroup.js";
import { SecurityRule } from "@pulumi/azure-native/network/securityRule.js";
import { Subnet } from "@pulumi/azure-native/network/subnet.js";
import { VirtualNetwork } from "@pulumi/azure-native/network/virtualNetwork.js";
import { Provider } from "@pulumi/azure-native/provider.js";
import { ResourceGroup } from "@pulumi/azure-native/resources/resourceGroup.js";
import type * as pulumi from "@pulumi/pulumi";
import { cloudName } from "../cloud-name.ts";
import type { SiteAccess, SiteSpec } from "../provider.ts";

/** What a site gives to its nodes. */
export interface Site {
  readonly stack: string;
  readonly location: string;
  readonly provider: Provider;
  readonly resourceGroupName: pulumi.Output<string>;
  readonly securityGroupName: pulumi.Output<string>;
  readonly subnetId: pulumi.Output<string>;
  readonly operatorKeys: readonly string[];
}

/** Declares the network of a subscription in a region. Nothing comes in but SSH from `access.sshFrom`. */
export function declareNetwork(fleet: pulumi.Resource, { account, region }: SiteSpec, access: SiteAccess): Site {
  const name = `azure-${region}`;
  const cloud = cloudName(access.stack, region);
  // A provider of the site's own: the stack never writes to a subscription that the environment happens to name.
  const provider = new Provider(name, { subscriptionId: account, location: region }, { parent: fleet });
  const options = { parent: fleet, provider };
  const tags = { "gradientlab-stack": access.stack };

  const group = new ResourceGroup(
    name,
    { resourceGroupName: cloud, location: region, tags },
    { ...options, dependsOn: [...access.after] },
  );
  const common = { resourceGroupName: group.name, location: region, tags };
  // Its rules are resources of their own, and so it names none: the two ways would undo one another.
  const securityGroup = new NetworkSecurityGroup(name, { ...common, networkSecurityGroupName: cloud }, options);
  const network = new VirtualNetwork(
    name,
    { ...common, virtualNetworkName: cloud, addressSpace: { addressPrefixes: ["10.71.0.0/16"] } },
    options,
  );
  const subnet = new Subnet(
    name,
    {
      resourceGroupName: group.name,
      virtualNetworkName: network.name,
      subnetName: "nodes",
      addressPrefix: "10.71.0.0/20",
      networkSecurityGroup: { id: securityGroup.id },
      // Machines go out by an address of their own and never by a shared one that Azure lends.
      defaultOutboundAccess: false,
    },
    options,
  );
  const site: Site = {
    stack: access.stack,
    location: region,
    provider,
    resourceGroupName: group.name,
    securityGroupName: securityGroup.name,
    subnetId: subnet.id,
    operatorKeys: access.operatorKeys,
  };
  if (access.sshFrom.length > 0) admitRanges(fleet, site, "ssh", 100, access.sshFrom);
  // Of itself Azure lets the machines of one network reach each other.
  declareRule(fleet, site, "closed", { priority: 4096, access: "Deny", protocol: "*", port: "*", sources: ["*"] });
  return site;
}

/** Opens SSH of a site to ranges of addresses. */
export function admitRanges(
  fleet: pulumi.Resource,
  site: Site,
  name: string,
  priority: number,
  sources: readonly pulumi.Input<string>[],
): void {
  declareRule(fleet, site, name, { priority, access: "Allow", protocol: "Tcp", port: "22", sources });
}

interface Rule {
  readonly priority: number;
  readonly access: "Allow" | "Deny";
  readonly protocol: "Tcp" | "*";
  readonly port: string;
  readonly sources: readonly pulumi.Input<string>[];
}

function declareRule(fleet: pulumi.Resource, site: Site, name: string, rule: Rule): void {
  const { priority, access, protocol, port, sources } = rule;
  const [source] = sources;
  new SecurityRule(
    `azure-${site.location}-${name}`,
    {
      resourceGroupName: site.resourceGroupName,
      networkSecurityGroupName: site.securityGroupName,
      securityRuleName: name,
      direction: "Inbound",
      priority,
      access,
      protocol,
      // Azure wants a single source in a field of its own.
      ...(sources.length === 1 && source !== undefined
        ? { sourceAddressPrefix: source }
        : { sourceAddressPrefixes: [...sources] }),
      sourcePortRange: "*",
      destinationAddressPrefix: "*",
      destinationPortRange: port,
    },
    { parent: fleet, provider: site.provider },
  );
}
