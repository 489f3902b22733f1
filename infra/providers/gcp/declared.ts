import type { DeclaredResource } from "../resource-table.ts";

/** What the declarations of this provider can make: each kind, how many of it, why, and what of the ledger it uses. */
export const declared: readonly DeclaredResource[] = [
  {
    type: "pulumi:providers:gcp",
    per: "region, and one for the budget",
    why: "Pins the project, so that nothing is made where the environment happens to point.",
    uses: [],
  },
  {
    type: "gcp:billing/budget:Budget",
    per: "account in a phase",
    why: "Google watches the month's spending against the phase's budget and writes to the billing account's administrators. It stops nothing.",
    uses: [],
  },
  {
    type: "gcp:compute/network:Network",
    per: "region",
    why: "A network of the fleet's own: it lets nothing in.",
    uses: [],
  },
  { type: "gcp:compute/subnetwork:Subnetwork", per: "region", why: "Where the nodes are, in every zone.", uses: [] },
  {
    type: "gcp:compute/firewall:Firewall",
    per: "region, and one for the collector's machine",
    why: "Lets SSH in from access.sshFrom.",
    uses: [],
  },
  {
    type: "gcp:compute/instance:Instance",
    per: "node, and the collector's machine",
    why: "The machine, with its boot disk and its external address.",
    uses: ["e2-micro", "e2-small", "pd-standard", "ipv4", "egress"],
  },
];
