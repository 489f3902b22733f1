import * as pulumi from "@pulumi/pulumi";
import type { PlannedNode } from "./plan.ts";
import type { NodeOutputs, ProviderDeclare, ServiceOutputs, SiteOutputs } from "./providers/provider.ts";

/** A node that was declared: what was planned, and what only its machine can tell. */
export interface DeclaredNode {
  readonly planned: PlannedNode;
  readonly outputs: NodeOutputs;
}

/** Declares one node under its group: the component that stands for it on any provider, and the provider's own parts. */
export function declareNode(
  group: pulumi.Resource,
  planned: PlannedNode,
  provider: ProviderDeclare,
  site: SiteOutputs,
  service: ServiceOutputs | null,
): DeclaredNode {
  const { spec, boot } = planned;
  const node = new pulumi.ComponentResource("gradientlab:fleet:Node", spec.key, {}, { parent: group });
  return { planned, outputs: provider.declare(node, spec, boot, site, service) };
}
