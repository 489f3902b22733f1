import type { Demand, Ledgers } from "./budget.ts";
import { dateOf, hoursBetween, monthHours, monthStart } from "./calendar.ts";
import { costLines, freeUntil, type Stretch, sumOf } from "./cost.ts";
import { phaseAt } from "./phase.ts";

/** What the fleet costs in a stretch of one month in which nothing but the clock changes. */
export interface ForecastMonth {
  /** `YYYY-MM`. */
  readonly month: string;
  readonly from: string;
  /** The phase that holds; null where none does. */
  readonly phase: string | null;
  readonly microUsd: bigint;
  /** The phase's budget for these hours of the month. */
  readonly budgetMicroUsd: bigint;
}

/**
 * Returns the months from `at` on, at the counts as they are: the first from `at`, a month with the end of a phase or of
 * a free period in it in several parts. A month is billed by its own hours, begun ones as whole.
 */
export function forecast(demand: Demand, ledgers: Ledgers, at: Date, months = 60): ForecastMonth[] {
  const stop = monthStart(at, months);
  const bounds = [...boundsOf(demand, ledgers), ...Array.from({ length: months }, (_, n) => monthStart(at, n + 1))]
    .filter((bound) => bound > at && bound <= stop)
    .toSorted((a, b) => a.getTime() - b.getTime());
  const parts: ForecastMonth[] = [];
  const freeBounds = freeBoundsOf(demand, ledgers);
  // Months of one length in one free period cost the same.
  const costs = new Map<string, bigint>();
  let from = at;
  for (const to of bounds) {
    if (to <= from) continue;
    const stretch = { hours: hoursBetween(from, to), monthHours: monthHours(from) };
    const phase = phaseAt(demand.phase, demand.phases, from);
    const begin = from;
    const key = `${stretch.hours} ${stretch.monthHours} ${freeBounds.filter((bound) => bound <= begin).length}`;
    const microUsd = costs.get(key) ?? costIn(demand, ledgers, stretch, begin);
    costs.set(key, microUsd);
    parts.push({
      month: from.toISOString().slice(0, 7),
      from: dateOf(from),
      phase: phase.name,
      microUsd,
      budgetMicroUsd: (BigInt(phase.budgetMicroUsdPerMonth) * BigInt(stretch.hours)) / BigInt(stretch.monthHours),
    });
    from = to;
  }
  return parts;
}

function costIn(demand: Demand, ledgers: Ledgers, stretch: Stretch, at: Date): bigint {
  let microUsd = 0n;
  for (const account of Object.values(demand.accounts)) {
    const ledger = ledgers.get(account.provider);
    if (ledger !== undefined) microUsd += sumOf(costLines(account.uses, account, ledger, stretch, at));
  }
  return microUsd;
}

/** The instants at which the bill or the budget changes by themselves. */
function boundsOf(demand: Demand, ledgers: Ledgers): Date[] {
  const phases = Object.values(demand.phases).flatMap(({ start, end }) =>
    [start, end].flatMap((instant) => (instant === null ? [] : [new Date(instant)])),
  );
  return [...phases, ...freeBoundsOf(demand, ledgers)];
}

/** The instants at which a free period begins or ends. */
function freeBoundsOf(demand: Demand, ledgers: Ledgers): Date[] {
  return Object.values(demand.accounts).flatMap((account) => {
    const ends = (ledgers.get(account.provider)?.free ?? []).flatMap(
      (allowance) => freeUntil(allowance, account) ?? [],
    );
    return account.opened === null || ends.length === 0 ? [] : [new Date(account.opened), ...ends];
  });
}
