import { z } from "zod";
import { parseLedger } from "../../ledger.ts";
import { egress, machineUsage, regionsOf } from "../machine.ts";
import type { NodeSpec, ProviderFacts, Usage } from "../provider.ts";
import ledger from "./ledger.json" with { type: "json" };

const Options = z.strictObject({
  egressGibPerMonth: egress,
  disk: z.enum(["standard-ssd", "premium-ssd"], "Write standard-ssd or premium-ssd").default("standard-ssd"),
});

/** Regions with availability zones; the others have one domain, `none`. */
const zoned = [
  ...["eastus", "eastus2", "westus2", "westus3", "centralus", "southcentralus", "canadacentral", "brazilsouth"],
  ...["northeurope", "westeurope", "uksouth", "francecentral", "germanywestcentral", "norwayeast", "swedencentral"],
  ...["switzerlandnorth", "polandcentral", "italynorth", "spaincentral", "australiaeast", "centralindia"],
  ...["eastasia", "japaneast", "koreacentral", "southeastasia", "newzealandnorth", "israelcentral", "qatarcentral"],
  ...["uaenorth", "southafricanorth"],
];

/** Azure. An account is a subscription; failure domains are the zones `1` to `3`, or `none` where a region has none. */
export const facts: ProviderFacts<z.infer<typeof Options>> = {
  name: "azure",
  options: Options,
  accountIs: "the subscription's id",
  accountOptions: z.strictObject({}),
  regions: [...zoned, "westus", "northcentralus", "westcentralus", "canadaeast", "ukwest", "australiasoutheast"],
  defaultRegion: null,
  traits: {
    boot: ["user-data", "ssh"],
    bootLimitBytes: 65_535,
    userData: "gzip-base64",
    inboundPorts: true,
    // A machine that is switched off is billed until it is deallocated, and no property of a machine says that it is.
    power: false,
    device: "own",
    spareCapacity: true,
    billing: { unitSeconds: 1 },
    os: ["ubuntu-24.04"],
  },
  capacity: {
    exhausted: [/\bSkuNotAvailable\b/, /\b(?:Zonal)?AllocationFailed\b/],
    limit: [
      /exceeding approved .+ quota/,
      /\bQuotaExceeded\b/,
      /\bPublicIPCountLimitReached\b/,
      /\bIPv4BasicSkuPublicIpCountLimitReached\b/,
    ],
  },
  advice: [
    {
      says: /\bAuthorizationFailed\b/,
      fix: "Azure lets these credentials not do it: check az login and accounts.azure, and give them the roles that docs/clouds/azure.md names. Then run the same command again: it goes on where this one stopped.",
    },
    {
      says: /\bSubscriptionRequestsThrottled\b/,
      fix: "Azure asked to slow down for longer than its plugin waits: run the same command again in some minutes. What was made stays.",
    },
    {
      says: /\bPropertyChangeNotAllowed\b/,
      fix: "Azure cannot change this on a machine that exists: raise the group's revision.machine, which makes its machines anew.",
    },
    {
      says: /cannot create already existing resource/,
      fix: "Something of that name is there and is not this stack's: remove it in the portal, or import it with pulumi import. Then run the same command again.",
    },
  ],
  failedMachine: { type: "azure-native:compute:VirtualMachine", property: "provisioningState", value: "Failed" },
  ledger: parseLedger(ledger, "infra/providers/azure/ledger.json"),
  terms: [
    {
      name: "azure",
      says: "Microsoft's acceptable use policy has forbidden mining of cryptocurrency since December 2022 and does not name nodes that do not mine; silence is no permission. One subscription for each person.",
      read: "https://www.microsoft.com/licensing/terms/product/ForOnlineServices/all (Acceptable Use Policy)",
    },
  ],
  domains: (region) => (zoned.includes(region) ? ["1", "2", "3"] : ["none"]),
  sites: regionsOf,
  usage(what) {
    if (!("key" in what)) return [];
    return [
      ...machineUsage(what, facts.ledger),
      diskUsage(what),
      { quantity: "ipv4", amount: 1 },
      { quantity: "egress", amount: Number(what.options.egressGibPerMonth) },
    ];
  },
};

/** The tiers of disks by GiB, with the numbers that the provider names them by. */
const tiers = new Map([
  ...([
    [4, 1],
    [8, 2],
    [16, 3],
    [32, 4],
    [64, 6],
    [128, 10],
    [256, 15],
    [512, 20],
    [1024, 30],
  ] as const),
  ...([
    [2048, 40],
    [4096, 50],
    [8192, 60],
    [16_384, 70],
    [32_767, 80],
  ] as const),
]);

/** A disk is billed as the next larger tier. One larger than all is of a quantity that no ledger prices. */
function diskUsage({ diskGib, options }: NodeSpec): Usage {
  const [, tier = `-of-${diskGib}`] = [...tiers].find(([gib]) => gib >= diskGib) ?? [];
  return { quantity: `disk-${options.disk === "premium-ssd" ? "p" : "e"}${tier}`, amount: 1 };
}
