import { Budget } from "@pulumi/oci/budget/budget.js";
import { Rule } from "@pulumi/oci/budget/rule.js";
import { getRegionSubscriptions } from "@pulumi/oci/identity/getRegionSubscriptions.js";
import { Quota } from "@pulumi/oci/limits/quota.js";
import { Provider } from "@pulumi/oci/provider.js";
import type * as pulumi from "@pulumi/pulumi";
import { asked, placementOf, programEnd } from "../cloud-machine.ts";
import { cloudName } from "../cloud-name.ts";
import type { AccountSpec, NodeSpec } from "../provider.ts";

/**
 * Declares what Oracle itself holds the tenancy to: a quota on the processors and memory of the shapes in use, which it
 * refuses to exceed, and a budget, which only alerts. Both live in the tenancy's home region.
 */
export function declareLimits(fleet: pulumi.Resource, account: AccountSpec): readonly pulumi.Resource[] {
  const {
    stack,
    options: { compartment },
    regions,
    nodes,
    budgetMicroUsdPerMonth,
  } = account;
  const tenancyOcid = account.account;
  const [region] = regions;
  if (region === undefined) return [];
  const statements = quotaStatements(nodes);
  if (statements.length === 0 && budgetMicroUsdPerMonth === null) return [];

  const asking = new Provider("oci-asking", { tenancyOcid, region }, { parent: fleet });
  const home = asked(
    getRegionSubscriptions({ tenancyId: tenancyOcid }, { provider: asking }),
    "The tenancy's home region",
    "Check ~/.oci/config and the tenancy's OCID.",
  ).apply((found) => {
    const name = found.regionSubscriptions.find((each) => each.isHomeRegion)?.regionName;
    if (name === undefined)
      throw programEnd(
        `Oracle Cloud names no home region of ${tenancyOcid}. Check that gradientlab:fleet.accounts.oci is the tenancy's OCID.`,
      );
    return name;
  });
  const options = {
    parent: fleet,
    provider: new Provider("oci-home", { tenancyOcid, region: home }, { parent: fleet }),
  };
  const name = cloudName(stack);
  const freeformTags = { "gradientlab-stack": stack };

  if (budgetMicroUsdPerMonth !== null) {
    const budget = new Budget(
      "oci",
      {
        compartmentId: tenancyOcid,
        displayName: name,
        description: "What the phase of the fleet lets a month cost",
        targetType: "COMPARTMENT",
        targets: [typeof compartment === "string" ? compartment : tenancyOcid],
        resetPeriod: "MONTHLY",
        // A whole number, in the currency of the tenancy's rate card; a budget of nothing is not to be had.
        amount: Math.max(1, Math.ceil(budgetMicroUsdPerMonth / 1_000_000)),
        freeformTags,
      },
      options,
    );
    for (const type of ["ACTUAL", "FORECAST"])
      new Rule(
        `oci-${type.toLowerCase()}`,
        {
          budgetId: budget.id,
          displayName: `${name}-${type.toLowerCase()}`,
          type,
          threshold: 100,
          thresholdType: "PERCENTAGE",
        },
        // Whom it writes to is set in the console, and stays as it is there.
        { ...options, ignoreChanges: ["recipients"] },
      );
  }
  if (statements.length === 0) return [];
  const description = "No more processors and memory than the fleet has";
  return [new Quota("oci", { compartmentId: tenancyOcid, name, description, statements, freeformTags }, options)];
}

/** Returns the statements that hold each family of flexible shapes to what these nodes have of it, sorted. */
export function quotaStatements(nodes: readonly NodeSpec[]): string[] {
  const families = new Map<string, { ocpus: number; memoryMib: number }>();
  for (const node of nodes) {
    const family = /^VM\.Standard\.([A-Z][0-9]+)\.Flex$/.exec(placementOf(node).shape)?.[1]?.toLowerCase();
    if (family === undefined) continue;
    const { ocpus, memoryMib } = families.get(family) ?? { ocpus: 0, memoryMib: 0 };
    families.set(family, { ocpus: ocpus + node.cpus, memoryMib: memoryMib + node.memoryMib });
  }
  return [...families]
    .flatMap(([family, { ocpus, memoryMib }]) => [
      `set compute-core quota standard-${family}-core-count to ${ocpus} in tenancy`,
      `set compute-memory quota standard-${family}-memory-count to ${Math.ceil(memoryMib / 1024)} in tenancy`,
    ])
    .toSorted();
}
