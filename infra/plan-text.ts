import type { Ledgers } from "./budget.ts";
import type { ForecastMonth } from "./forecast.ts";
import { dollars } from "./money.ts";
import type { FleetPlan } from "./plan.ts";
import type { Problem } from "./problem.ts";
import { alignedRows, report, reportText } from "./report.ts";

/** A plan with all that is said of it. */
export interface ToldPlan {
  readonly plan: FleetPlan;
  readonly ledgers: Ledgers;
  readonly at: Date;
  readonly refusals: readonly Problem[];
  readonly warnings: readonly string[];
  readonly months: readonly ForecastMonth[];
}

/** Returns the plan for people: its costs, what would be refused, what is to be known, and the months ahead. */
export function asText({ plan, ledgers, at, refusals, warnings, months }: ToldPlan): string {
  const parts = [plan.demand === null ? groupsText(plan) : reportText(plan.demand, ledgers, at)];
  if (refusals.length > 0)
    parts.push(
      `Would be refused if nothing were deployed:\n${refusals.map(({ message, fix }) => `  ${message} ${fix}`).join("\n")}`,
    );
  if (warnings.length > 0) parts.push(`To be known:\n${warnings.map((warning) => `  ${warning}`).join("\n")}`);
  if (months.length > 0) parts.push(forecastText(months));
  return parts.join("\n\n");
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function groupsText({ groups }: FleetPlan): string {
  if (groups.length === 0) return "The config names no groups: there is nothing to make.";
  const lines = groups.map(({ name, nodes, workload, provider, network }) => [
    name,
    `${nodes.length} × ${workload} on ${provider}, network ${network ?? "none"}`,
  ]);
  return [...alignedRows(lines, []), "Nothing of it costs anything."].join("\n");
}

/** Returns the months ahead, those alike as one line: a phase, an amount, and how many months it holds. */
function forecastText(months: readonly ForecastMonth[]): string {
  const years = new Map<string, { sum: bigint; budget: bigint; phases: Set<string> }>();
  for (const { month, phase, microUsd, budgetMicroUsd } of months) {
    const year = years.get(month.slice(0, 4)) ?? { sum: 0n, budget: 0n, phases: new Set<string>() };
    years.set(month.slice(0, 4), year);
    year.sum += microUsd;
    year.budget += budgetMicroUsd;
    year.phases.add(phase ?? "none");
  }
  const rows = [...years].map(([year, { sum, budget, phases }]) => [
    year,
    dollars(sum),
    dollars(budget),
    [...phases].join(", "),
    sum > budget ? "over" : "",
  ]);
  const [first] = months.filter(({ microUsd, budgetMicroUsd }) => microUsd > budgetMicroUsd);
  const all = months.reduce((sum, { microUsd }) => sum + microUsd, 0n);
  return [
    `60 months at these counts: ${dollars(all)}${first === undefined ? "" : `; over its budget from ${first.from} on`}`,
    ...alignedRows([["year", "to pay", "budget", "phase", ""], ...rows], [1, 2]),
  ].join("\n");
}

/** Returns the plan as one JSON object. Amounts are micro-dollars as texts, since they may be above 2^53. */
export function asJson({ plan, ledgers, at, refusals, warnings, months }: ToldPlan): string {
  const value = {
    schema: 1,
    at: at.toISOString(),
    nodes: plan.nodes.map(({ spec, record }) => ({ ...record, placement: spec.placement, shape: spec.shape })),
    collector: plan.collector === null ? null : { provider: plan.collector.provider, size: plan.collector.spec.size },
    cost: plan.demand === null ? null : report(plan.demand, ledgers, at),
    refusals,
    warnings,
    forecast: months,
  };
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? inner.toString() : inner), 2);
}

/** Returns a Mermaid flowchart of the accounts, their groups and what each costs a month. */
export function asMermaid({ plan, ledgers, at }: ToldPlan): string {
  const lines = ["flowchart LR"];
  const rows = plan.demand === null ? [] : report(plan.demand, ledgers, at).rows;
  const boxes = new Map<string, string>();
  const box = (label: string): string => {
    const id = boxes.get(label) ?? `n${boxes.size}`;
    if (!boxes.has(label)) lines.push(`  ${id}["${label.replaceAll('"', "'")}"]`);
    boxes.set(label, id);
    return id;
  };
  const priced = new Set(rows.map(({ name }) => name));
  for (const { name, account, nodes, payMicroUsd } of rows)
    lines.push(
      `  ${box(account)} --> ${box(`${name}: ${counted(nodes, "machine")}, ${dollars(payMicroUsd)} a month`)}`,
    );
  for (const { name, provider, nodes } of plan.groups)
    if (!priced.has(name)) lines.push(`  ${box(provider)} --> ${box(`${name}: ${counted(nodes.length, "node")}`)}`);
  return lines.join("\n");
}
