import { z } from "zod";
import { parseLedger } from "../../ledger.ts";
import { egress, machineUsage, regionsOf } from "../machine.ts";
import type { ProviderFacts } from "../provider.ts";
import ledger from "./ledger.json" with { type: "json" };

const Options = z.strictObject({ egressGibPerMonth: egress });

/** Where the fleet's resources go; without a compartment, into the tenancy's root. */
const AccountOptions = z.strictObject({
  compartment: z
    .string()
    .regex(/^ocid1\.(compartment|tenancy)\./, "Write a compartment's OCID, such as ocid1.compartment.oc1..aaaa")
    .optional(),
});

/** Regions with three availability domains; every other has one. */
const threeDomains = ["eu-frankfurt-1", "uk-london-1", "us-ashburn-1", "us-phoenix-1"];

/** Oracle Cloud Infrastructure. An account is a tenancy; failure domains are availability domains, as `AD-1`. */
export const facts: ProviderFacts<z.infer<typeof Options>> = {
  name: "oci",
  options: Options,
  accountIs: "the tenancy's OCID",
  accountOptions: AccountOptions,
  regions: [
    ...threeDomains,
    ...["af-johannesburg-1", "ap-chuncheon-1", "ap-hyderabad-1", "ap-melbourne-1", "ap-mumbai-1", "ap-osaka-1"],
    ...["ap-seoul-1", "ap-singapore-1", "ap-sydney-1", "ap-tokyo-1", "ca-montreal-1", "ca-toronto-1"],
    ...["eu-amsterdam-1", "eu-madrid-1", "eu-marseille-1", "eu-milan-1", "eu-paris-1", "eu-stockholm-1"],
    ...["eu-zurich-1", "il-jerusalem-1", "me-abudhabi-1", "me-dubai-1", "me-jeddah-1", "mx-queretaro-1"],
    ...["sa-bogota-1", "sa-santiago-1", "sa-saopaulo-1", "sa-vinhedo-1", "uk-cardiff-1", "us-chicago-1"],
    "us-sanjose-1",
  ],
  defaultRegion: null,
  traits: {
    boot: ["user-data", "ssh"],
    bootLimitBytes: 32_000,
    userData: "gzip-base64",
    inboundPorts: true,
    power: true,
    device: "own",
    spareCapacity: false,
    billing: { unitSeconds: 1 },
    os: ["ubuntu-24.04"],
  },
  capacity: {
    exhausted: [/Out of host capacity/, /404-NotAuthorizedOrNotFound, shape \S+ not found/],
    limit: [/\bLimitExceeded\b/, /\bQuotaExceeded\b/],
  },
  advice: [
    {
      says: /\bNotAuthenticated\b/,
      fix: "Oracle did not accept the credentials: check ~/.oci/config and the key that it names. Then run the same command again: it goes on where this one stopped.",
    },
    {
      says: /\bNotAuthorizedOrNotFound\b/,
      fix: "Oracle says this of what is not there and of what the user may not see: check accounts.oci, its compartment and the user's policies. Then run the same command again.",
    },
    {
      says: /\bTooManyRequests\b/,
      fix: "Oracle asked to slow down for longer than its plugin waits: run the same command again in some minutes. What was made stays.",
    },
    {
      says: /timeout while waiting for state/,
      fix: "Oracle has accepted it and was slow: run the same command again, which looks at what became of it.",
    },
  ],
  ledger: parseLedger(ledger, "infra/providers/oci/ledger.json"),
  terms: [
    {
      name: "oci",
      says: "Oracle's cloud services agreement forbids mining of cryptocurrency and does not name nodes that do not mine; silence is no permission. One tenancy for each person, and idle free machines may be reclaimed.",
      read: "https://www.oracle.com/contracts/cloud-services/ (CSA, section 1.3)",
    },
  ],
  domains: (region) => (threeDomains.includes(region) ? ["AD-1", "AD-2", "AD-3"] : ["AD-1"]),
  sites: regionsOf,
  usage(what) {
    if (!("key" in what)) return [{ quantity: "vcn", amount: 1 }];
    // A boot volume below 47 GB is made as one of 47, and is billed as long as it exists.
    const disk = Math.max(47, what.diskGib);
    return [
      ...machineUsage(what, facts.ledger),
      { quantity: "block-volume", amount: disk },
      { quantity: "block-volume-vpu", amount: disk * 10 },
      { quantity: "ipv4", amount: 1 },
      { quantity: "egress", amount: Number(what.options.egressGibPerMonth) },
    ];
  },
};
