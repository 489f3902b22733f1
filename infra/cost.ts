import { monthsAfter } from "./calendar.ts";
import type { Allowance, Ledger, Price } from "./ledger.ts";
import { costOf, perUnit, priceOf } from "./price.ts";

/**
 * How much of each quantity an account uses, in the quantity's unit, by `<quantity>@<region>`; what is powered off
 * stands by `<quantity>@<region> off`, counts towards limits and is not billed.
 */
export type Uses = Readonly<Record<string, number>>;

/** What the bill of an account depends on, beside what it uses. */
export interface AccountTerms {
  /** The day it was opened; null where the config does not say, and then no free period is assumed. */
  readonly opened: string | null;
  /** Free allowances and limits by quantity, in place of the ledger's. */
  readonly free: Readonly<Record<string, number>>;
  readonly limits: Readonly<Record<string, number>>;
}

/** What one quantity costs in one region. */
export interface CostLine {
  readonly quantity: string;
  readonly region: string;
  readonly amount: number;
  /** The part of the amount times hours that no allowance covers. */
  readonly billedUnitHours: bigint;
  /** Null where no entry of the ledger holds a price and something would be billed. */
  readonly microUsd: bigint | null;
  readonly price: Price | null;
  readonly allowance: Allowance | null;
}

/** A stretch inside one month: so many of its hours. Allowances are counted in proportion. */
export interface Stretch {
  readonly hours: number;
  readonly monthHours: number;
}

/** Returns the end of the free period that the allowance has in this account; null where it has none or is not begun. */
export function freeUntil(allowance: Allowance, { opened }: AccountTerms): Date | null {
  if (allowance.months === undefined || opened === null) return null;
  return monthsAfter(new Date(opened), allowance.months);
}

function isFree(allowance: Allowance, account: AccountTerms, at: Date): boolean {
  if (allowance.months === undefined) return true;
  const until = freeUntil(allowance, account);
  return until !== null && at < until && account.opened !== null && at >= new Date(account.opened);
}

/**
 * Returns what the uses cost in a stretch of the month that `at` lies in, a line for each quantity and region, sorted.
 * An allowance covers the cheapest region first, so that the sum is an upper bound of what a provider bills, and more of
 * anything never costs less.
 */
export function costLines(
  uses: Uses,
  account: AccountTerms,
  ledger: Ledger,
  { hours, monthHours }: Stretch,
  at: Date,
): CostLine[] {
  const byQuantity = new Map<
    string,
    { readonly region: string; readonly amount: number; readonly price: Price | null }[]
  >();
  for (const [key, amount] of Object.entries(uses)) {
    if (amount === 0 || key.endsWith(" off")) continue;
    const [quantity = "", region = ""] = key.split("@");
    const used = byQuantity.get(quantity) ?? [];
    byQuantity.set(quantity, used);
    used.push({ region, amount, price: priceOf(ledger, quantity, region) ?? null });
  }
  const lines: CostLine[] = [];
  for (const [quantity, used] of byQuantity) {
    const allowances = ledger.free
      .filter((each) => each.quantity === quantity && isFree(each, account, at))
      .map((allowance) => ({ allowance, left: unitHoursOf(allowance, account, ledger, { hours, monthHours }) }));
    for (const { region, amount, price } of used.toSorted(byPrice)) {
      let billedUnitHours = BigInt(amount) * BigInt(hours);
      let covering: Allowance | null = null;
      for (const each of allowances) {
        if (each.allowance.regions !== undefined && !each.allowance.regions.includes(region)) continue;
        covering ??= each.allowance;
        const covered = each.left < billedUnitHours ? each.left : billedUnitHours;
        each.left -= covered;
        billedUnitHours -= covered;
      }
      const microUsd =
        billedUnitHours === 0n ? 0n : price === null ? null : costOf(price, ledger, billedUnitHours, monthHours);
      lines.push({ quantity, region, amount, billedUnitHours, microUsd, price, allowance: covering });
    }
  }
  return lines.toSorted((a, b) => (`${a.quantity}@${a.region}` < `${b.quantity}@${b.region}` ? -1 : 1));
}

/** Returns the sum of the lines in micro-dollars; what has no price is left out, and is never accepted anew. */
export function sumOf(lines: readonly CostLine[]): bigint {
  return lines.reduce((sum, { microUsd }) => sum + (microUsd ?? 0n), 0n);
}

interface Priced {
  readonly region: string;
  readonly price: Price | null;
}

/**
 * What has no price comes last, so that an allowance covers it only where nothing else needs it. Regions of one price, or of
 * none, have an order of their own: what a region has left to pay for may not depend on which is named first.
 */
function byPrice(a: Priced, b: Priced): number {
  const order = a.region < b.region ? -1 : 1;
  if (a.price === null || b.price === null) return Number(a.price === null) - Number(b.price === null) || order;
  return Number(a.price.value) - Number(b.price.value) || order;
}

function unitHoursOf(
  allowance: Allowance,
  { free }: AccountTerms,
  ledger: Ledger,
  { hours, monthHours }: Stretch,
): bigint {
  const value =
    BigInt(free[allowance.quantity] ?? allowance.value) * perUnit(ledger, allowance.quantity, allowance.unit);
  if (allowance.unit.endsWith("-month")) return value * BigInt(hours);
  return hours === monthHours ? value : (value * BigInt(hours)) / BigInt(monthHours);
}
