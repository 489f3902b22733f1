import type { z } from "zod";
import { ExplainedError } from "./problem.ts";

/**
 * A provider's own price list, as its `prices.ts` reads it: one that answers anybody, or none that does. A price of the
 * ledger is found in it by its key, fields of the list itself.
 */

/** A price to be looked up. Without a region it is that of every region. */
export interface Wanted {
  readonly key: Readonly<Record<string, string>>;
  readonly region: string | null;
}

/** What a list asks today for something, in its dearest tier. */
export interface Quote {
  /** What the list calls it, so that a person can tell two apart. */
  readonly product: string;
  readonly region: string | null;
  /** A decimal with at most nine digits behind the point. */
  readonly value: string;
  readonly currency: string;
  /** The unit in the ledger's words, or as the list has it where the ledger has none for it. */
  readonly unit: string;
}

/** Returns the JSON that an address answers with. Throws `no-price-list` where it gives none. */
export type Ask = (address: string) => Promise<unknown>;

export type PriceList =
  | {
      readonly kind: "public";
      /** What the source of a price says that was found by this key. */
      sourceOf(key: Wanted["key"]): string;
      /** Returns what the list asks for each that is wanted, in their order; nothing for what it does not have. */
      quotes(wanted: readonly Wanted[], ask: Ask): Promise<readonly (readonly Quote[])[]>;
    }
  /** The sentence says why, and what is to be done instead. */
  | { readonly kind: "closed"; readonly says: string };

/**
 * Returns a number of a list as the decimal that a ledger holds: at most nine digits behind the point, the last rounded
 * up, and no zeros at the end.
 */
export function decimalOf(value: number): string {
  // Twelve digits are more than any list has, and fewer than make a number's own error visible.
  const [whole = "0", fraction = ""] = value.toFixed(12).split(".");
  const nano =
    BigInt(whole) * 1_000_000_000n + BigInt(fraction.slice(0, 9)) + (Number(fraction.slice(9)) > 0 ? 1n : 0n);
  return `${nano / 1_000_000_000n}.${String(nano % 1_000_000_000n).padStart(9, "0")}`.replace(/\.?0+$/, "");
}

/** Returns a list's answer as its documentation describes it. Throws `no-price-list` where it has another shape. */
export function shaped<Answer>(host: string, schema: z.ZodType<Answer>, answer: unknown): Answer {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw otherShape(host, `${issue?.path.join(".")}: ${issue?.message}`, parsed.error);
}

/** Returns the error of a list whose answer has another shape than the one it is documented to have. */
export function otherShape(host: string, what: string, cause?: unknown): ExplainedError {
  return new ExplainedError(
    "no-price-list",
    `${host} answered in another shape than its documentation says: ${what}. No ledger was changed.`,
    "Read its documentation again and correct the provider's prices.ts; until then write prices into the ledger by hand.",
    { cause },
  );
}
