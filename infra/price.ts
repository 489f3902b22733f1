import type { PriceLine } from "./inventory.ts";
import { type Ledger, type Price, sourceOf } from "./ledger.ts";
import type { Usage } from "./providers/provider.ts";

/** The hours of the month that list prices a month are given for, so that a price does not change with the calendar. */
const nominalHours = 730;

/** Returns a price's value in billionths of a dollar, without floating point. */
export function nanoUsd(value: string): bigint {
  const [whole = "0", fraction = ""] = value.split(".");
  return BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** Returns how many of a quantity's unit are one of the unit that a price or an allowance is given in. */
export function perUnit(ledger: Ledger, quantity: string, unit: string): bigint {
  return ledger.quantities[quantity]?.unit === "MiB" && unit.startsWith("GiB") ? 1024n : 1n;
}

/** Returns the price of a quantity in a region: the region's own, else that of every region, else `undefined`. */
export function priceOf(ledger: Ledger, quantity: string, region: string): Price | undefined {
  let anywhere: Price | undefined;
  for (const price of ledger.prices)
    if (price.quantity === quantity) {
      if (price.region === region) return price;
      if (price.region === undefined) anywhere = price;
    }
  return anywhere;
}

/**
 * Returns what `unitHours` (an amount of the quantity's unit times hours) cost in micro-dollars, rounded up, in a month
 * of `monthHours`.
 */
export function costOf(price: Price, ledger: Ledger, unitHours: bigint, monthHours: number): bigint {
  const over =
    1000n * perUnit(ledger, price.quantity, price.unit) * (price.unit.endsWith("-month") ? BigInt(monthHours) : 1n);
  return (nanoUsd(price.value) * unitHours + over - 1n) / over;
}

/**
 * Returns the price lines of what is used in a region all through a month of 730 hours, at list price and before any
 * free allowance. What is off costs nothing, and what has no price has no line.
 */
export function listPrices(usage: readonly Usage[], region: string, ledger: Ledger): PriceLine[] {
  return usage.flatMap(({ quantity, amount, off }) => {
    const price = priceOf(ledger, quantity, region);
    if (off === true || price === undefined) return [];
    const micro = costOf(price, ledger, BigInt(amount) * BigInt(nominalHours), nominalHours);
    if (micro === 0n) return [];
    const item = ledger.quantities[quantity]?.title ?? quantity;
    return [{ item, microUsdPerMonth: Number(micro), source: sourceOf(price), checkedOn: price.checkedOn }];
  });
}
