import { z } from "zod";
import { parseLedger } from "../../ledger.ts";
import { egress, machineUsage, regionsOf } from "../machine.ts";
import type { ProviderFacts } from "../provider.ts";
import ledger from "./ledger.json" with { type: "json" };

const Options = z.strictObject({ egressGibPerMonth: egress });

/** The project that the fleet's resources go into; without it, that of the provider's own config. */
const AccountOptions = z.strictObject({
  project: z
    .string()
    .regex(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, "Write a project's id, such as my-fleet-123456")
    .optional(),
});

/** Zones by region, where they are not a, b and c. */
const otherZones: Readonly<Record<string, readonly string[]>> = {
  "europe-west1": ["b", "c", "d"],
  "us-central1": ["a", "b", "c", "f"],
  "us-east1": ["b", "c", "d"],
};

/** Google Cloud. An account is a billing account; failure domains are zones, as `us-central1-a`. */
export const facts: ProviderFacts<z.infer<typeof Options>> = {
  name: "gcp",
  options: Options,
  accountIs: "the billing account's id, and the project under options",
  accountOptions: AccountOptions,
  regions: [
    ...["us-central1", "us-east1", "us-west1", "us-east4", "us-east5", "us-south1", "us-west2", "us-west3", "us-west4"],
    ...["africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3"],
    ...["asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "australia-southeast1"],
    ...["australia-southeast2", "europe-central2", "europe-north1", "europe-southwest1", "europe-west1"],
    ...["europe-west2", "europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9"],
    ...["europe-west10", "europe-west12", "me-central1", "me-central2", "me-west1", "northamerica-northeast1"],
    ...["northamerica-northeast2", "southamerica-east1", "southamerica-west1"],
  ],
  defaultRegion: null,
  traits: {
    boot: ["user-data", "ssh"],
    bootLimitBytes: 262_144,
    userData: "gzip-base64",
    inboundPorts: true,
    power: true,
    device: "own",
    spareCapacity: true,
    billing: { unitSeconds: 1 },
    os: ["ubuntu-24.04"],
  },
  capacity: {
    exhausted: [/does not have enough resources available to fulfill the request/, /ZONE_RESOURCE_POOL_EXHAUSTED/],
    limit: [/Quota '\w+' exceeded\./],
  },
  advice: [
    {
      says: /could not find default credentials/,
      fix: "Google found no credentials: run gcloud auth application-default login. Then run the same command again: it goes on where this one stopped.",
    },
    {
      says: /Error 403: Required '.+' permission/,
      fix: "Google lets these credentials not do it: give them the roles that docs/clouds/google.md names in the project of accounts.gcp. Then run the same command again.",
    },
    {
      says: /\brateLimitExceeded\b/,
      fix: "Google asked to slow down for longer than its plugin waits: run the same command again in some minutes. What was made stays.",
    },
  ],
  ledger: parseLedger(ledger, "infra/providers/gcp/ledger.json"),
  terms: [
    {
      name: "gcp",
      says: "Google Cloud's terms allow mining of cryptocurrency with written permission only and do not name nodes that do not mine; silence is no permission. One free tier for each billing account.",
      read: "https://cloud.google.com/terms/service-terms",
    },
  ],
  domains: (region) => (otherZones[region] ?? ["a", "b", "c"]).map((zone) => `${region}-${zone}`),
  sites: regionsOf,
  usage(what) {
    if (!("key" in what)) return [];
    return [
      ...machineUsage(what, facts.ledger),
      { quantity: "pd-standard", amount: what.diskGib },
      { quantity: "ipv4", amount: 1 },
      { quantity: "egress", amount: Number(what.options.egressGibPerMonth) },
    ];
  },
};
