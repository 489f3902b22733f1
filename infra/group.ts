import * as pulumi from "@pulumi/pulumi";
import { type DeclaredNode, declareNode } from "./node.ts";
import type { PlannedGroup, PlannedNode } from "./plan.ts";
import type { ProviderDeclare, ServiceOutputs, SiteOutputs } from "./providers/provider.ts";

/** Declares a group under the fleet, and its nodes under it. `siteOf` gives what a node's site made. */
export function declareGroup(
  fleet: pulumi.Resource,
  group: PlannedGroup,
  provider: ProviderDeclare,
  siteOf: (node: PlannedNode) => SiteOutputs,
  service: ServiceOutputs | null,
): DeclaredNode[] {
  const parent = new pulumi.ComponentResource("gradientlab:fleet:Group", group.name, {}, { parent: fleet });
  const declared: DeclaredNode[] = [];
  for (const node of group.nodes) declared.push(declareNode(parent, node, provider, siteOf(node), service));
  return declared;
}
