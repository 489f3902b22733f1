import type { DeclaredResource } from "../resource-table.ts";

/** What the declarations of this provider can make: each kind, how many of it, why, and what of the ledger it uses. */
export const declared: readonly DeclaredResource[] = [
  {
    type: "pulumi:providers:azure-native",
    per: "region, and one for the budget",
    why: "Pins the subscription, so that nothing is made where the environment happens to point.",
    uses: [],
  },
  {
    type: "azure-native:consumption:Budget",
    per: "account in a phase",
    why: "Azure watches the month's spending against the phase's budget and writes to the subscription's owners. It stops nothing.",
    uses: [],
  },
  {
    type: "azure-native:resources:ResourceGroup",
    per: "region",
    why: "Holds all that the fleet has there, so that it can be seen and removed as one.",
    uses: [],
  },
  {
    type: "azure-native:network:VirtualNetwork",
    per: "region",
    why: "A network of the fleet's own.",
    uses: [],
  },
  {
    type: "azure-native:network:Subnet",
    per: "region",
    why: "Where the nodes are, in every zone, without the shared address that Azure lends for the way out.",
    uses: [],
  },
  {
    type: "azure-native:network:NetworkSecurityGroup",
    per: "region",
    why: "Holds the rules of what comes in.",
    uses: [],
  },
  {
    type: "azure-native:network:SecurityRule",
    per: "region, two, and one for the collector's machine",
    why: "One lets SSH in from access.sshFrom; one refuses all else, other machines of the network included.",
    uses: [],
  },
  {
    type: "azure-native:network:PublicIPAddress",
    per: "node, and the collector's machine",
    why: "The node's address. It stays when the machine is renewed.",
    uses: ["ipv4"],
  },
  {
    type: "azure-native:network:NetworkInterface",
    per: "node, and the collector's machine",
    why: "Ties machine, subnet and address.",
    uses: [],
  },
  {
    type: "azure-native:compute:VirtualMachine",
    per: "node, and the collector's machine",
    why: "The machine, with its disk.",
    uses: ["b2pts-v2", "b2ats-v2", "disk-e4", "disk-p6", "egress"],
  },
];
