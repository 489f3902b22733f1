import { join } from "node:path";
import { expect } from "vitest";
import { parseConfig } from "../../../infra/config.ts";
import { declareFleet } from "../../../infra/fleet.ts";
import { planFleet } from "../../../infra/plan.ts";
import type { ProviderFacts } from "../../../infra/providers/provider.ts";
import { findProviders } from "../../../infra/providers/registry.ts";
import { extra } from "../../harness/project.ts";
import { known } from "../known.ts";
import { type Declared, declaredBy } from "./declared.ts";

/** All providers, that of the tests included. */
export const providers = findProviders(join(import.meta.dirname, "..", "..", "..", "infra"), extra);
/** The accounts of a config, by provider. */
export const accounts = {
  oci: "ocid1.tenancy.oc1..aaaaaaaaexample",
  gcp: { id: "01AB23-CD45EF-678901", options: { project: "my-fleet-123456" } },
  azure: "11111111-2222-3333-4444-555555555555",
};
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmSfnE5mQ1Fq0a3SxcVZ2yJb1tq8mB4sJ4bYg1c0QxQ someone";

/** Returns a group of three nodes on a provider, in its first region and of its first size. */
export function groupOn(facts: ProviderFacts, more: object = {}): Record<string, unknown> {
  const [region] = facts.regions === "any" ? ["anywhere"] : facts.regions;
  const [size] = Object.keys(facts.ledger.sizes);
  return { provider: facts.name, region, size, count: 3, workload: "sentry", network: null, ...more };
}

/** Returns what a fleet of these groups declares. */
export async function declaredFleet(groups: Record<string, unknown>, more: object = {}): Promise<readonly Declared[]> {
  const used = new Set(Object.values(groups).map((group) => (group as { provider: string }).provider));
  const fleet = {
    schema: 1,
    groups,
    accounts: Object.fromEntries(Object.entries(accounts).filter(([name]) => used.has(name))),
    access: { sshFrom: ["203.0.113.4/32", "198.51.100.0/24"], keys: { operator: [key], collector: [key] } },
    ...more,
  };
  const config = parseConfig({ "gradientlab:fleet": JSON.stringify(fleet) }, known);
  const plan = planFleet(config, known);
  expect(plan.refusals).toEqual([]);
  const around = { stack: "dev", providers, access: config.access, budgetFrom: "2026-11-01" };
  const { resources } = await declaredBy(() => declareFleet(plan, around));
  return resources;
}
