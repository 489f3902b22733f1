import { Budget } from "@pulumi/azure-native/consumption/budget.js";
import { Provider } from "@pulumi/azure-native/provider.js";
import type * as pulumi from "@pulumi/pulumi";
import { cloudName } from "../cloud-name.ts";
import type { AccountSpec } from "../provider.ts";

/**
 * Declares what Azure itself watches: a budget of the subscription, which only alerts, by mail to its owners. There is
 * no quota that a program could lower.
 */
export function declareLimits(
  fleet: pulumi.Resource,
  { account, stack, budgetMicroUsdPerMonth, budgetFrom }: AccountSpec,
): readonly pulumi.Resource[] {
  if (budgetMicroUsdPerMonth === null) return [];
  const provider = new Provider("azure-billing", { subscriptionId: account }, { parent: fleet });
  const notification = {
    enabled: true,
    operator: "GreaterThanOrEqualTo",
    threshold: 100,
    contactEmails: [],
    contactRoles: ["Owner"],
  };
  new Budget(
    "azure",
    {
      scope: `/subscriptions/${account}`,
      budgetName: cloudName(stack),
      category: "Cost",
      timeGrain: "Monthly",
      timePeriod: { startDate: `${budgetFrom}T00:00:00Z` },
      // In the currency of the subscription; a budget of nothing is not to be had.
      amount: Math.max(0.01, budgetMicroUsdPerMonth / 1_000_000),
      notifications: {
        actual: { ...notification, thresholdType: "Actual" },
        forecast: { ...notification, thresholdType: "Forecasted" },
      },
    },
    // It counts from the month in which it was made: another start would be another budget.
    { parent: fleet, provider, ignoreChanges: ["timePeriod"] },
  );
  return [];
}
