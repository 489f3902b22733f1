import { type Demand, type Ledgers, reduced } from "./budget.ts";
import { dateOf, monthHours } from "./calendar.ts";
import { type CostLine, costLines, freeUntil, sumOf } from "./cost.ts";
import { type Allowance, type Price, sourceOf } from "./ledger.ts";
import { dollars } from "./money.ts";
import { phaseAt } from "./phase.ts";

/** What a group, or the collector's machine with what all share, costs in a whole month of the length of `at`'s. */
export interface ReportRow {
  readonly name: string;
  readonly account: string;
  readonly nodes: number;
  readonly listMicroUsd: bigint;
  /** What the account's free allowances cover, given to the groups in the order of their names. */
  readonly freeMicroUsd: bigint;
  readonly payMicroUsd: bigint;
}

/** A price or an allowance that the rows rest on. */
export interface ReportFact {
  readonly what: string;
  readonly value: string;
  readonly source: string;
  readonly checkedOn: string;
}

export interface Report {
  readonly month: string;
  readonly rows: readonly ReportRow[];
  readonly totalMicroUsd: bigint;
  readonly phase: string | null;
  readonly budgetMicroUsd: bigint;
  readonly facts: readonly ReportFact[];
}

/** Returns what a demand costs in the month of `at`, by group, with every fact that the sum rests on. */
export function report(demand: Demand, ledgers: Ledgers, at: Date): Report {
  const hours = monthHours(at);
  const linesIn = (account: Demand["accounts"][string], free = true): CostLine[] => {
    const ledger = ledgers.get(account.provider);
    if (ledger === undefined) return [];
    return costLines(account.uses, account, free ? ledger : { ...ledger, free: [] }, { hours, monthHours: hours }, at);
  };
  const costOf = (of: Demand, free: boolean): bigint =>
    Object.values(of.accounts).reduce((sum, account) => sum + sumOf(linesIn(account, free)), 0n);
  const rows: ReportRow[] = [];
  // Each row is what comes on top of those before it, so that the rows add up to the bill.
  let counts: Record<string, number> = {};
  let host = false;
  let [list, pay] = [0n, 0n];
  const add = (name: string, account: string, nodes: number): void => {
    const part = reduced(demand, { counts, host });
    const [nextList, nextPay] = [costOf(part, false), costOf(part, true)];
    const [moreList, morePay] = [nextList - list, nextPay - pay];
    rows.push({ name, account, nodes, listMicroUsd: moreList, freeMicroUsd: moreList - morePay, payMicroUsd: morePay });
    [list, pay] = [nextList, nextPay];
  };
  for (const [name, group] of Object.entries(demand.groups).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    counts = { ...counts, [name]: group.count };
    add(name, group.account, group.count);
  }
  if (demand.host !== null) {
    host = true;
    add("collector", demand.host.account, 1);
  }
  const phase = phaseAt(demand.phase, demand.phases, at);
  return {
    month: at.toISOString().slice(0, 7),
    rows,
    totalMicroUsd: pay,
    phase: phase.name,
    budgetMicroUsd: BigInt(phase.budgetMicroUsdPerMonth),
    facts: factsOf(demand, ledgers, linesIn),
  };
}

function factsOf(
  demand: Demand,
  ledgers: Ledgers,
  linesIn: (account: Demand["accounts"][string]) => readonly CostLine[],
): ReportFact[] {
  const facts = new Map<string, ReportFact>();
  for (const account of Object.values(demand.accounts))
    for (const { quantity, region, price, allowance } of linesIn(account)) {
      const title = `${account.provider}: ${ledgers.get(account.provider)?.quantities[quantity]?.title ?? quantity}`;
      if (price !== null && price.value !== "0") {
        const stands = price.readIn !== undefined && price.readIn !== region;
        const where = stands ? `${region}, as in ${price.readIn}` : (price.region ?? price.readIn);
        const what = where === undefined ? title : `${title} in ${where}`;
        const { checkedOn } = price;
        facts.set(what, { what, value: priceText(price), source: sourceOf(price), checkedOn });
      }
      if (allowance !== null) {
        const until = freeUntil(allowance, account);
        const what = `${title}, free`;
        const { checkedOn } = allowance;
        const own = account.free[quantity];
        facts.set(what, {
          what,
          value: `${freeText(own ?? allowance.value, allowance.unit)}${until === null ? "" : ` until ${dateOf(until)}`}`,
          source:
            own === undefined
              ? sourceOf(allowance)
              : `the config, in place of ${allowance.value} of ${sourceOf(allowance)}`,
          checkedOn,
        });
      }
    }
  return [...facts.values()].toSorted((a, b) => (a.what < b.what ? -1 : 1));
}

/** Returns a price in words: `$0.005 an hour`, `$0.04 a month for each GiB`. */
function priceText({ value, unit }: Price): string {
  const [what, time] = unit.split("-");
  return `$${value} ${time === "hour" ? "an hour" : `a ${time}`}${what === "count" ? "" : ` for each ${what}`}`;
}

/** Returns what is free each month in words: `750 hours each month`, `200 GiB each month`. */
function freeText(value: number, unit: Allowance["unit"]): string {
  const [what, time] = unit.split("-");
  const parts = [String(value), what === "count" ? "" : what, time === "hour" ? "hours" : "", "each month"];
  return parts.filter((part) => part !== "").join(" ");
}

/** Returns the report as text: the table of the groups, the sum against the phase's budget, and the facts. */
export function reportText(demand: Demand, ledgers: Ledgers, at: Date): string {
  const { month, rows, totalMicroUsd, phase, budgetMicroUsd, facts } = report(demand, ledgers, at);
  const sum = {
    name: "all",
    account: "",
    nodes: rows.reduce((nodes, row) => nodes + row.nodes, 0),
    listMicroUsd: rows.reduce((total, row) => total + row.listMicroUsd, 0n),
    freeMicroUsd: rows.reduce((total, row) => total + row.freeMicroUsd, 0n),
    payMicroUsd: totalMicroUsd,
  };
  const cells = [...rows, sum].map((row) => [
    row.name,
    row.account,
    String(row.nodes),
    dollars(row.listMicroUsd),
    dollars(row.freeMicroUsd),
    dollars(row.payMicroUsd),
  ]);
  const table = alignedRows(
    [["group", "account", "machines", "list price", "free tier", "to pay"], ...cells],
    [2, 3, 4, 5],
  );
  const against =
    phase === null
      ? "no phase holds, and so nothing may be spent"
      : `phase ${phase}: ${dollars(budgetMicroUsd)} a month`;
  const sources = alignedRows(
    facts.map(({ what, value, source, checkedOn }) => [what, value, `${source}, checked ${checkedOn}`]),
    [],
  );
  return [`What the fleet costs in ${month}`, ...table, against, "", "Rests on:", ...sources].join("\n");
}

/** Returns rows of cells as lines with aligned columns, those of `right` to the right. */
export function alignedRows(rows: readonly (readonly string[])[], right: readonly number[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        right.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}
