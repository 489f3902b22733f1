import { Budget } from "@pulumi/gcp/billing/budget.js";
import { getProject } from "@pulumi/gcp/organizations/getProject.js";
import { Provider } from "@pulumi/gcp/provider.js";
import * as pulumi from "@pulumi/pulumi";
import { asked } from "../cloud-machine.ts";
import { cloudName } from "../cloud-name.ts";
import type { AccountSpec } from "../provider.ts";
import { projectOf } from "./network.ts";

/**
 * Declares what Google itself watches: a budget of the project on its billing account, which only alerts, by mail to the
 * account's administrators. There is no quota that a program could lower.
 */
export function declareLimits(
  fleet: pulumi.Resource,
  { account, options, stack, budgetMicroUsdPerMonth }: AccountSpec,
): readonly pulumi.Resource[] {
  if (budgetMicroUsdPerMonth === null) return [];
  // A person's own credentials name no project to count the calls to, and the budgets' service asks for one.
  const named = projectOf(options);
  // A person's own credentials name no project to count the calls to, and the budgets' service asks for one.
  const provider = new Provider(
    "gcp-billing",
    { project: named, billingProject: named, userProjectOverride: true },
    { parent: fleet },
  );
  const project = asked(
    getProject(named === undefined ? {} : { projectId: named }, { provider }),
    "The project's number",
    "Check `gcloud auth application-default login`, the project and that its Cloud Resource Manager API is on.",
  );
  const cents = Math.max(1, Math.ceil(budgetMicroUsdPerMonth / 10_000));
  new Budget(
    "gcp",
    {
      billingAccount: account,
      displayName: cloudName(stack),
      budgetFilter: { projects: [pulumi.interpolate`projects/${project.number}`] },
      // In the currency of the billing account.
      amount: { specifiedAmount: { units: String(Math.floor(cents / 100)), nanos: (cents % 100) * 10_000_000 } },
      thresholdRules: [
        { thresholdPercent: 0.5 },
        { thresholdPercent: 1 },
        { thresholdPercent: 1, spendBasis: "FORECASTED_SPEND" },
      ],
    },
    { parent: fleet, provider },
  );
  return [];
}
