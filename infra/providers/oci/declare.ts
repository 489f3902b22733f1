import { interpolate } from "@pulumi/pulumi";
import { userDataOf } from "../cloud-machine.ts";
import type { ProviderDeclare } from "../provider.ts";
import { declareLimits } from "./limits.ts";
import { admitRange, declareNetwork, type Site } from "./network.ts";
import { declareMachine } from "./node.ts";

export const declarations: ProviderDeclare<Site> = {
  declareAccount: declareLimits,
  declareSite: declareNetwork,
  admit: (fleet, site, name, address) =>
    admitRange(fleet, site, `oci-${site.region}-${name}`, interpolate`${address}/32`),
  declare: (parent, node, boot, site) => declareMachine(parent, node, userDataOf(boot, node), site),
};
