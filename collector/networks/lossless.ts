import { isInteger, LosslessNumber, parse } from "lossless-json";
import { NetworkError } from "./outcome.ts";

/** A JSON value whose numbers still have every digit they came with. */
export type LosslessJson =
  | null
  | boolean
  | string
  | LosslessNumber
  | readonly LosslessJson[]
  | { readonly [name: string]: LosslessJson };

/** Returns the value that `body` holds. @throws NetworkError `shape` when it is not JSON. */
export function parseLossless(body: string): LosslessJson {
  try {
    return parse(body) as LosslessJson;
  } catch (error) {
    // lossless-json throws SyntaxError for text that is not JSON, and Error for a name that stands twice.
    if (!(error instanceof Error)) throw error;
    const start = body.trimStart().slice(0, 1) === "<" ? "HTML" : "text";
    throw new NetworkError("shape", `${start} where JSON was due: ${error.message.slice(0, 100)}`, { cause: error });
  }
}

/** Returns the members of an object. @throws NetworkError `shape` naming `what`. */
export function objectAt(value: LosslessJson | undefined, what: string): { readonly [name: string]: LosslessJson } {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof LosslessNumber)) {
    return value as { readonly [name: string]: LosslessJson };
  }
  throw new NetworkError("shape", `${what} should be an object and is ${kindOf(value)}`);
}

/** Returns the items of an array. @throws NetworkError `shape` naming `what`. */
export function arrayAt(value: LosslessJson | undefined, what: string): readonly LosslessJson[] {
  if (Array.isArray(value)) return value as readonly LosslessJson[];
  throw new NetworkError("shape", `${what} should be an array and is ${kindOf(value)}`);
}

const longestText = 2_000;

/** Returns a text of at most 2,000 characters, none of them NUL. @throws NetworkError `shape` naming `what`. */
export function textAt(value: LosslessJson | undefined, what: string): string {
  if (typeof value === "string" && value.length <= longestText && !value.includes("\0")) return value;
  throw new NetworkError("shape", `${what} should be text and is ${kindOf(value)}`);
}

/** Returns true or false. @throws NetworkError `shape` naming `what`. */
export function booleanAt(value: LosslessJson | undefined, what: string): boolean {
  if (typeof value === "boolean") return value;
  throw new NetworkError("shape", `${what} should be true or false and is ${kindOf(value)}`);
}

// numeric(38, 0) of the database.
const largest = 10n ** 38n - 1n;

/**
 * Returns an integer that is not negative, exactly as it came. @throws NetworkError `shape` naming `what`: a fraction,
 * a negative number or one of more than 38 digits is not rounded and not cut.
 */
export function countAt(value: LosslessJson | undefined, what: string): bigint {
  if (!(value instanceof LosslessNumber)) {
    throw new NetworkError("shape", `${what} should be a number and is ${kindOf(value)}`);
  }
  const { value: digits } = value;
  if (!isInteger(digits) || digits.length > 40 || !/^[0-9]+$/.test(digits)) {
    throw new NetworkError("shape", `${what} should be an integer from 0 on and is ${digits.slice(0, 40)}`);
  }
  const count = BigInt(digits);
  if (count > largest) {
    throw new NetworkError("shape", `${what} should have at most 38 digits and is ${digits}`);
  }
  return count;
}

/**
 * Returns an amount of at most `scale` decimals, not negative, in units of `10^-scale`: exact, or not at all.
 * @throws NetworkError `shape` naming `what` for more decimals than `scale`, a negative number or one of over 38 digits.
 */
export function decimalAt(value: LosslessJson | undefined, scale: number, what: string): bigint {
  if (!(value instanceof LosslessNumber)) {
    throw new NetworkError("shape", `${what} should be a number and is ${kindOf(value)}`);
  }
  return decimalIn(value.value, scale, what);
}

const decimal = /^([0-9]{1,40})(?:\.([0-9]{1,40}))?(?:[eE]([+-]?[0-9]{1,3}))?$/;

/** Returns the amount that `digits` write, as `decimalAt` does. @throws NetworkError as `decimalAt`. */
export function decimalIn(digits: string, scale: number, what: string): bigint {
  const [, whole, fraction = "", exponent = "0"] = decimal.exec(digits) ?? [];
  if (whole === undefined) {
    throw new NetworkError("shape", `${what} should be a number from 0 on and is ${digits.slice(0, 40)}`);
  }
  const written = BigInt(whole + fraction);
  if (written === 0n) return 0n;
  const shift = scale + Number(exponent) - fraction.length;
  const lost = shift < 0 && written % 10n ** BigInt(-shift) !== 0n;
  const units = shift < 0 ? written / 10n ** BigInt(-shift) : written * 10n ** BigInt(shift);
  if (lost || units > largest) {
    throw new NetworkError(
      "shape",
      `${what} does not fit 38 digits, ${scale} of them decimals: ${digits.slice(0, 40)}`,
    );
  }
  return units;
}

/** Returns the integer that a text of digits holds. @throws NetworkError `shape` naming `what`, for empty text too. */
export function digitsAt(value: LosslessJson | undefined, what: string): bigint {
  const digits = textAt(value, what);
  if (!/^[0-9]{1,38}$/.test(digits)) {
    throw new NetworkError("shape", `${what} should be digits and is ${JSON.stringify(digits.slice(0, 40))}`);
  }
  return BigInt(digits);
}

/** Returns a UTC day `YYYY-MM-DD`. @throws NetworkError `shape` naming `what` for what is no day of the calendar. */
export function dayIn(written: string, what: string): string {
  const instant = new Date(`${written}T00:00:00Z`);
  const real = !Number.isNaN(instant.getTime()) && instant.toISOString().slice(0, 10) === written;
  if (/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(written) && real) return written;
  throw new NetworkError("shape", `${what} should be a day and is ${written.slice(0, 40)}`);
}

function kindOf(value: LosslessJson | undefined): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return value instanceof LosslessNumber ? `the number ${value.value.slice(0, 40)}` : `of type ${typeof value}`;
}
