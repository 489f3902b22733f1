import type { Ledger, Price } from "./ledger.ts";
import { nanoUsd } from "./price.ts";
import type { Quote, Wanted } from "./price-list.ts";
import type { Problem } from "./problem.ts";

/**
 * What a provider's price list says today against what its ledger says. A change that is hardly a price's is refused, not
 * taken over: a renamed part, another unit, a value for other things would price a whole fleet wrongly.
 */

/** A price that is in the ledger and the list. */
export interface RefreshedPrice {
  /** Null where the ledger has none for the region yet. */
  readonly before: Price | null;
  readonly after: Price;
  /** What the list calls it. */
  readonly product: string;
}

/** Where a price is looked up: one of the ledger's, or one of theirs in a region that has none yet. */
export interface Lookup extends Wanted {
  readonly price: Price;
  readonly isNew: boolean;
}

/** By how much a price may change at once: beyond that it is taken for another thing's. */
const mostFactor = 2n;

/**
 * Returns what is to be looked up of a ledger: every price with a key. With a region also those prices of single regions
 * that this one has none for, and nothing else.
 */
export function lookupsOf({ prices }: Ledger, region?: string): Lookup[] {
  const keyed = prices.flatMap((price): Lookup[] =>
    price.key === undefined
      ? []
      : [{ price, key: price.key, region: price.region ?? price.readIn ?? null, isNew: false }],
  );
  if (region === undefined) return keyed;
  const here = new Set(prices.filter((price) => price.region === region).map(({ quantity }) => quantity));
  const added = new Map<string, Lookup>();
  for (const { price, key, region: known } of keyed) {
    if (known === null || price.readIn === region || here.has(price.quantity) || added.has(price.quantity)) continue;
    const { readIn: _, ...entry } = price;
    added.set(price.quantity, { price: { ...entry, region }, key, region, isNew: true });
  }
  return [...added.values()];
}

/**
 * Returns the prices as the list has them on that day, and what of it cannot be: nothing by that key, another currency or
 * unit, several prices, a price more than twice or less than half of the ledger's. `regions` are those that the provider's
 * config accepts; `path` names the ledger.
 */
export function refreshedPrices(
  lookups: readonly Lookup[],
  quotes: readonly (readonly Quote[])[],
  around: {
    readonly path: string;
    readonly regions: readonly string[] | "any";
    readonly on: string;
    sourceOf(key: Wanted["key"]): string;
  },
): { readonly prices: readonly RefreshedPrice[]; readonly problems: readonly Problem[] } {
  const prices: RefreshedPrice[] = [];
  const problems: Problem[] = [];
  for (const [index, { price, key, region, isNew }] of lookups.entries()) {
    const path = `${around.path} ${price.quantity}${region === null ? "" : `@${region}`}`;
    const words = Object.entries(key)
      .map(([field, value]) => `${field} "${value}"`)
      .join(", ");
    const refuse = (value: string | undefined, message: string, fix: string): void => {
      problems.push({ path, value, message: `${path}: ${message}`, fix });
    };
    const found = (quotes[index] ?? []).filter(
      (quote) => quote.region === null || around.regions === "any" || around.regions.includes(quote.region),
    );
    const [first] = found;
    if (first === undefined) {
      refuse(undefined, `the list has nothing with ${words}.`, "Correct its key, or remove what can no longer be had.");
      continue;
    }
    const other = found.find((quote) => quote.currency !== price.currency || quote.unit !== price.unit);
    if (other !== undefined) {
      refuse(
        other.value,
        `the list has it in ${other.currency} per ${other.unit}, and the ledger in ${price.currency} per ${price.unit}.`,
        "Look what the list means by it, and correct the entry by hand.",
      );
      continue;
    }
    const values = [...new Set(found.map(({ value }) => value))];
    if (values.length > 1) {
      const all = found.map(
        (quote) => `${quote.value} (${quote.product}${quote.region === null ? "" : `, ${quote.region}`})`,
      );
      refuse(
        values.join(", "),
        `the list has ${values.length} prices for it: ${all.slice(0, 4).join("; ")}${all.length > 4 ? "; …" : ""}.`,
        "Make its key tell them apart, or give the price of each region an entry of its own.",
      );
      continue;
    }
    const [now, then] = [nanoUsd(first.value), nanoUsd(price.value)];
    if (now > then * mostFactor || then > now * mostFactor) {
      refuse(
        first.value,
        `the list has ${first.value} per ${first.unit} for ${first.product}, and the ledger ${price.value}${isNew ? " in another region" : ""}: more than twice or less than half.`,
        "Look it up in a browser; where it is right, write value, source and day into the ledger by hand.",
      );
      continue;
    }
    // What is read in the list itself is quoted by nobody.
    const { quotedBy: _, ...entry } = price;
    prices.push({
      before: isNew ? null : price,
      after: {
        ...entry,
        // A number that is the same stays as it is written.
        value: now === then ? price.value : first.value,
        source: around.sourceOf(key),
        checkedOn: around.on,
      },
      product: first.product,
    });
  }
  return { prices, problems };
}

/** Returns the ledger's prices with the refreshed ones in their places, and the new ones at the end of their quantity's. */
export function withRefreshed(prices: readonly Price[], refreshed: readonly RefreshedPrice[]): Price[] {
  const now = prices.map((price) => refreshed.find(({ before }) => before === price)?.after ?? price);
  for (const { before, after } of refreshed) {
    if (before !== null) continue;
    const last = now.findLastIndex(({ quantity }) => quantity === after.quantity);
    now.splice(last + 1, 0, after);
  }
  return now;
}

/**
 * Returns a ledger's file with other prices in it and every other byte as it is: the list of prices is the last field, one
 * field of an entry a line. Throws where the text is not written so, which the check of formats does not let by.
 */
export function ledgerText(text: string, prices: readonly Price[]): string {
  const entries = prices.map((price) => {
    const fields = orderedFields(price).map(([field, value]) => `      ${JSON.stringify(field)}: ${inline(value)}`);
    return `    {\n${fields.join(",\n")}\n    }`;
  });
  const list = /^ {2}"prices": \[\n[\s\S]*?^ {2}\]$/m;
  if (!list.test(text)) throw new Error("the ledger's prices are not written as one field of an entry a line");
  return text.replace(list, () => `  "prices": [\n${entries.join(",\n")}\n  ]`);
}

const order = ["quantity", "value", "unit", "currency", "region", "readIn", "key", "source", "quotedBy", "checkedOn"];

function orderedFields(price: Price): [string, unknown][] {
  return Object.entries(price).toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b));
}

function inline(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([field, each]) => `${JSON.stringify(field)}: ${JSON.stringify(each)}`);
  return `{ ${fields.join(", ")} }`;
}
