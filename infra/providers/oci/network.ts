import { InternetGateway } from "@pulumi/oci/core/internetGateway.js";
import { NetworkSecurityGroup } from "@pulumi/oci/core/networkSecurityGroup.js";
import { NetworkSecurityGroupSecurityRule } from "@pulumi/oci/core/networkSecurityGroupSecurityRule.js";
import { RouteTable } from "@pulumi/oci/core/routeTable.js";
import { SecurityList } from "@pulumi/oci/core/securityList.js";
import { Subnet } from "@pulumi/oci/core/subnet.js";
import { Vcn } from "@pulumi/oci/core/vcn.js";
import { getAvailabilityDomains } from "@pulumi/oci/identity/getAvailabilityDomains.js";
import { Provider } from "@pulumi/oci/provider.js";
import type * as pulumi from "@pulumi/pulumi";
import { asked, once, programEnd } from "../cloud-machine.ts";
import { cloudName } from "../cloud-name.ts";
import type { SiteAccess, SiteSpec } from "../provider.ts";
import { newestImage } from "./image.ts";

/** What a site gives to its nodes. */
export interface Site {
  readonly stack: string;
  readonly region: string;
  readonly compartmentId: string;
  readonly provider: Provider;
  readonly subnetId: pulumi.Output<string>;
  readonly securityGroupId: pulumi.Output<string>;
  /** Returns the full name of an availability domain, which begins with letters of the tenancy's own. */
  domain(wanted: string): pulumi.Output<string>;
  image(shape: string): pulumi.Output<string>;
}

const anywhere = "0.0.0.0/0";

/** Declares the network of an account in a region. Nothing comes in but SSH from `access.sshFrom`. */
export function declareNetwork(fleet: pulumi.Resource, site: SiteSpec, access: SiteAccess): Site {
  const {
    account,
    region,
    options: { compartment },
  } = site;
  const compartmentId = typeof compartment === "string" ? compartment : account;
  const name = `oci-${region}`;
  const displayName = cloudName(access.stack, region);
  // A provider of the site's own: the stack never writes to a tenancy or region that the environment happens to name.
  const provider = new Provider(name, { tenancyOcid: account, region }, { parent: fleet });
  const options = { parent: fleet, provider };
  const common = { compartmentId, displayName, freeformTags: { "gradientlab-stack": access.stack } };

  const vcn = new Vcn(name, { ...common, cidrBlocks: ["10.71.0.0/16"] }, { ...options, dependsOn: [...access.after] });
  const gateway = new InternetGateway(name, { ...common, vcnId: vcn.id }, options);
  const routes = new RouteTable(
    name,
    { ...common, vcnId: vcn.id, routeRules: [{ destination: anywhere, networkEntityId: gateway.id }] },
    options,
  );
  // Without a list of its own a subnet has the network's default one, which opens SSH to the world.
  const closed = new SecurityList(
    name,
    { ...common, vcnId: vcn.id, egressSecurityRules: [{ destination: anywhere, protocol: "all" }] },
    options,
  );
  const subnet = new Subnet(
    name,
    {
      ...common,
      vcnId: vcn.id,
      cidrBlock: "10.71.0.0/20",
      routeTableId: routes.id,
      securityListIds: [closed.id],
      prohibitPublicIpOnVnic: false,
    },
    options,
  );
  const group = new NetworkSecurityGroup(name, { ...common, vcnId: vcn.id }, options);

  const domains = asked(
    getAvailabilityDomains({ compartmentId: account }, { provider }),
    `The availability domains of ${region}`,
    "Check ~/.oci/config, the tenancy's OCID and that the tenancy is subscribed to the region.",
  ).apply((found) => found.availabilityDomains.map((each) => each.name));
  const made: Site = {
    stack: access.stack,
    region,
    compartmentId,
    provider,
    subnetId: subnet.id,
    securityGroupId: group.id,
    domain: once((wanted) => domains.apply((names) => domainNamed(wanted, names, region))),
    image: once((shape) => newestImage(shape, compartmentId, region, provider)),
  };
  // Named by what they admit, not by a place in the list: a range more or less touches no other rule.
  for (const range of access.sshFrom) admitRange(fleet, made, `${name}-ssh-${range}`, range);
  return made;
}

/** Opens SSH of a site to a range of addresses. */
export function admitRange(fleet: pulumi.Resource, site: Site, name: string, source: pulumi.Input<string>): void {
  new NetworkSecurityGroupSecurityRule(
    name,
    {
      networkSecurityGroupId: site.securityGroupId,
      direction: "INGRESS",
      protocol: "6",
      sourceType: "CIDR_BLOCK",
      source,
      tcpOptions: { destinationPortRange: { min: 22, max: 22 } },
    },
    { parent: fleet, provider: site.provider },
  );
}

/** Returns the domain of a name without its prefix. Throws the program's end, as a sentence, where there is none. */
export function domainNamed(wanted: string, names: readonly string[], region: string): string {
  const found = names.find((name) => name === wanted || name.toUpperCase().endsWith(`-${wanted.toUpperCase()}`));
  if (found === undefined)
    throw programEnd(
      names.length === 0
        ? `Oracle Cloud lists no availability domain in ${region}. Check that the account in gradientlab:fleet.accounts is the tenancy's OCID, and that the tenancy is subscribed to ${region}.`
        : `Oracle Cloud has no availability domain ${wanted} in ${region}; it has ${names.join(", ")}. Change the node's domain under gradientlab:fleet.placements.`,
    );
  return found;
}
