/**
 * Returns an amount of dollars in micro-dollars: `"83.33"` is 83 330 000, and so is a whole number of dollars times a
 * million. The text has at most six decimals; no floating point is involved.
 */
export function microUsd(dollars: number | string): number {
  const [whole = "0", fraction = ""] = String(dollars).split(".");
  return Number(whole) * 1_000_000 + Number(fraction.padEnd(6, "0"));
}
