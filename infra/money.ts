/**
 * Returns an amount of dollars in micro-dollars: `"83.33"` is 83 330 000, and so is a whole number of dollars times a
 * million. The text has at most six decimals; no floating point is involved.
 */
export function microUsd(dollars: number | string): number {
  const [whole = "0", fraction = ""] = String(dollars).split(".");
  return Number(whole) * 1_000_000 + Number(fraction.padEnd(6, "0"));
}

/** Returns micro-dollars as people read them, to the cent and never rounded to nothing: `$83.33`, `$0.000001`. */
export function dollars(microUsd: bigint): string {
  const cents = microUsd >= 10_000n || microUsd === 0n;
  const shown = cents ? (microUsd + 5_000n) / 10_000n : microUsd;
  const unit = cents ? 100n : 1_000_000n;
  const whole = String(shown / unit).replace(/\B(?=(\d{3})+$)/g, ",");
  return `$${whole}.${String(shown % unit).padStart(cents ? 2 : 6, "0")}`;
}
