import type { DeclaredResource } from "../resource-table.ts";

/** What the declarations of this provider can make: each kind, how many of it, why, and what of the ledger it uses. */
export const declared: readonly DeclaredResource[] = [
  {
    type: "pulumi:providers:oci",
    per: "region, and two for the quota and the budget",
    why: "Pins tenancy and region, so that nothing is made where the environment happens to point.",
    uses: [],
  },
  {
    type: "oci:Limits/quota:Quota",
    per: "account with flexible shapes",
    why: "Oracle itself refuses more processors or memory of a family than the config has.",
    uses: [],
  },
  {
    type: "oci:Budget/budget:Budget",
    per: "account in a phase",
    why: "Oracle watches the month's spending against the phase's budget. It alerts and stops nothing.",
    uses: [],
  },
  {
    type: "oci:Budget/rule:Rule",
    per: "budget, two",
    why: "Alerts when the budget is spent, and when it is forecast to be. Recipients are added in the console.",
    uses: [],
  },
  { type: "oci:Core/vcn:Vcn", per: "region", why: "A network of the fleet's own.", uses: ["vcn"] },
  {
    type: "oci:Core/internetGateway:InternetGateway",
    per: "region",
    why: "The nodes' way out, and that of SSH in.",
    uses: [],
  },
  {
    type: "oci:Core/routeTable:RouteTable",
    per: "region",
    why: "Sends what leaves the network to the gateway.",
    uses: [],
  },
  {
    type: "oci:Core/securityList:SecurityList",
    per: "region",
    why: "Lets nothing in. The network's default list, which a subnet has otherwise, opens SSH to the world.",
    uses: [],
  },
  {
    type: "oci:Core/subnet:Subnet",
    per: "region",
    why: "Where the nodes are, in every availability domain.",
    uses: [],
  },
  {
    type: "oci:Core/networkSecurityGroup:NetworkSecurityGroup",
    per: "region",
    why: "Holds the rules that let SSH in.",
    uses: [],
  },
  {
    type: "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule",
    per: "region and range of access.sshFrom, and one for the collector's machine",
    why: "Lets SSH in from there.",
    uses: [],
  },
  {
    type: "oci:Core/instance:Instance",
    per: "node, and the collector's machine",
    why: "The machine, with its boot volume and its public address.",
    uses: [
      ...["e2-micro", "a1-ocpu", "a1-memory", "e4-ocpu", "e4-memory", "e5-ocpu", "e5-memory"],
      ...["block-volume", "block-volume-vpu", "ipv4", "egress"],
    ],
  },
];
