import { Firewall } from "@pulumi/gcp/compute/firewall.js";
import { Network } from "@pulumi/gcp/compute/network.js";
import { Subnetwork } from "@pulumi/gcp/compute/subnetwork.js";
import { Provider } from "@pulumi/gcp/provider.js";
import * as pulumi from "@pulumi/pulumi";
import { once } from "../cloud-machine.ts";
import { cloudName } from "../cloud-name.ts";
import type { NodeSpec, SiteAccess, SiteSpec } from "../provider.ts";
import { newestImage } from "./image.ts";

/** What a site gives to its nodes. */
export interface Site {
  readonly stack: string;
  readonly region: string;
  readonly provider: Provider;
  readonly networkId: pulumi.Output<string>;
  readonly subnetworkId: pulumi.Output<string>;
  image(arch: NodeSpec["arch"]): pulumi.Output<string>;
}

/**
 * Declares the network of a project in a region. Nothing comes in but SSH from `access.sshFrom`: a network refuses what
 * no rule of its own lets in.
 */
export function declareNetwork(fleet: pulumi.Resource, { region, options }: SiteSpec, access: SiteAccess): Site {
  const name = `gcp-${region}`;
  const cloud = cloudName(access.stack, region);
  // A provider of the site's own: the stack never writes to a project that the environment happens to name.
  const provider = new Provider(name, { project: projectOf(options), region }, { parent: fleet });
  const common = { parent: fleet, provider, deleteBeforeReplace: true };

  const network = new Network(
    name,
    { name: cloud, autoCreateSubnetworks: false },
    { ...common, dependsOn: [...access.after] },
  );
  const subnetwork = new Subnetwork(
    name,
    { name: cloud, network: network.id, region, ipCidrRange: "10.71.0.0/20" },
    common,
  );
  const site: Site = {
    stack: access.stack,
    region,
    provider,
    networkId: network.id,
    subnetworkId: subnetwork.id,
    image: once((arch) => newestImage(arch, provider)),
  };
  // A rule without a source would be open to the world.
  if (access.sshFrom.length > 0) admitRanges(fleet, site, "ssh", access.sshFrom);
  return site;
}

/** Opens SSH of a site to ranges of addresses. */
export function admitRanges(
  fleet: pulumi.Resource,
  { stack, region, networkId, provider }: Site,
  name: string,
  sourceRanges: readonly pulumi.Input<string>[],
): void {
  new Firewall(
    `gcp-${region}-${name}`,
    {
      name: cloudName(stack, region, name),
      network: networkId,
      direction: "INGRESS",
      sourceRanges: [...sourceRanges],
      allows: [{ protocol: "tcp", ports: ["22"] }],
    },
    { parent: fleet, provider, deleteBeforeReplace: true },
  );
}

/** Returns the project of the fleet: that of the account's options, else that of the stack's config of the provider. */
export function projectOf({ project }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof project === "string" ? project : new pulumi.Config("gcp").get("project");
}
