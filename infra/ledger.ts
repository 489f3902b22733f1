import { z } from "zod";
import { BadInput, problemsOf } from "./problem.ts";

/**
 * A provider's ledger: its sizes, limits, free allowances and list prices as dated facts, one JSON file beside the
 * provider's code. A value that no entry holds is unknown, and what is unknown is never taken for nothing.
 */

/** A decimal with at most nine digits behind the point, so that it is a whole number of billionths. */
const Decimal = z.string().regex(/^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$/, 'Write a decimal in quotes such as "0.0084"');

/** Where an entry is from. One that could not be read there itself names in `quotedBy` who says that it stands there. */
const dated = {
  source: z.string().min(1),
  quotedBy: z.string().min(1).optional(),
  checkedOn: z.iso.date(),
};

/** What a quantity is counted in. An amount is always a whole number of it. */
const QuantityUnit = z.enum(["count", "OCPU", "MiB", "GiB"]);

/** Something of which an account uses an amount at any instant: machines of a shape, memory, disk, addresses. */
const Quantity = z.strictObject({ title: z.string().min(1), unit: QuantityUnit });

/** A size by the name that a config uses. Its shapes are the provider's machine types that may stand for it, best first. */
const Size = z.strictObject({
  shapes: z.array(z.string()).min(1),
  cpus: z.int().positive(),
  memoryMib: z.int().positive(),
  diskGib: z.int().positive(),
  ...dated,
});

/**
 * A machine type: its architecture (`host` is that of the machine the program runs on), and which quantities its processors, its memory or the machine as a whole count in.
 * `scarce` says that the provider is often out of it.
 */
const Shape = z.strictObject({
  arch: z.enum(["x64", "arm64", "host"]),
  counts: z.strictObject({
    machine: z.string().optional(),
    cpus: z.string().optional(),
    memory: z.string().optional(),
  }),
  scarce: z.literal(true).optional(),
  ...dated,
});

/** The most of a quantity that an account may have, in one region or in all together. */
const Limit = z.strictObject({
  quantity: z.string(),
  value: z.int().nonnegative(),
  unit: QuantityUnit,
  region: z.string().optional(),
  ...dated,
});

/**
 * What an account has for nothing each month. `-hour` is a number of hours a month, whatever its length; `-month` is an
 * amount all month long. `months` bounds it to that many months from the day the account was opened.
 */
const Allowance = z.strictObject({
  quantity: z.string(),
  value: z.int().nonnegative(),
  unit: z.enum(["count-hour", "OCPU-hour", "GiB-hour", "count-month", "GiB-month"]),
  regions: z.array(z.string()).optional(),
  months: z.int().positive().optional(),
  ...dated,
});

/**
 * A list price, in one region or, without one, in every region that has none of its own. Where such a price was read in
 * one region, `readIn` names it: elsewhere it stands in for what is not known, and the plan says so.
 */
const Price = z
  .strictObject({
    quantity: z.string(),
    value: Decimal,
    unit: z.enum(["count-hour", "OCPU-hour", "GiB-hour", "count-month", "GiB-month"]),
    currency: z.literal("USD"),
    region: z.string().optional(),
    readIn: z.string().optional(),
    /** By which fields the provider's own price list has it; without a key it is looked up by hand. */
    key: z.record(z.string(), z.string()).optional(),
    ...dated,
  })
  .refine(({ region, readIn }) => region === undefined || readIn === undefined, "Keep region or readIn");

export const Ledger = z.strictObject({
  schema: z.literal(1),
  quantities: z.record(z.string(), Quantity),
  shapes: z.record(z.string(), Shape),
  sizes: z.record(z.string(), Size),
  limits: z.array(Limit),
  free: z.array(Allowance),
  prices: z.array(Price),
});
export type Ledger = z.infer<typeof Ledger>;
export type Allowance = z.infer<typeof Allowance>;
export type Price = z.infer<typeof Price>;
export type Limit = z.infer<typeof Limit>;

/** Returns where an entry is from, in words: its source, and who quotes it where it was not read there itself. */
export function sourceOf({ source, quotedBy }: Pick<Price, "source" | "quotedBy">): string {
  return quotedBy === undefined ? source : `${source}, as quoted by ${quotedBy}`;
}

/** Returns the ledger in `value`. Throws `BadInput` with every mistake, each with its path in `file`. */
export function parseLedger(value: unknown, file: string): Ledger {
  const parsed = Ledger.safeParse(value);
  if (!parsed.success) throw new BadInput(`The ledger ${file}`, problemsOf(parsed.error, value, ""));
  return parsed.data;
}
