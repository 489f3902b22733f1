/** An exact amount as text: `−`, `1,234`, `50000` stand for −1,234.50000. `fraction` is empty where the scale is 0. */
export interface AmountText {
  readonly sign: "" | "−";
  readonly whole: string;
  readonly fraction: string;
}

/**
 * Returns `units` / 10^`scale` written out exactly, every digit of the scale shown, the whole part in groups of three;
 * `null` where `units` is not an integer or `scale` not a whole number. Works on the digits: no amount is ever a float.
 */
export function amountText(units: string, scale: number): AmountText | null {
  const match = /^(-?)([0-9]+)$/.exec(units);
  if (match === null || !Number.isInteger(scale) || scale < 0) return null;
  const digits = (match[2] ?? "").replace(/^0+(?=[0-9])/, "").padStart(scale + 1, "0");
  const cut = digits.length - scale;
  return {
    sign: match[1] === "-" && /[1-9]/.test(digits) ? "−" : "",
    whole: digits.slice(0, cut).replace(/\B(?=(?:[0-9]{3})+$)/g, ","),
    fraction: digits.slice(cut),
  };
}

/** Returns `units` / 10^`scale` as one exact decimal, for example `1,234.50000`; `null` as `amountText`. */
export function formatAmount(units: string, scale: number): string | null {
  const text = amountText(units, scale);
  if (text === null) return null;
  return `${text.sign}${text.whole}${text.fraction === "" ? "" : `.${text.fraction}`}`;
}

/** Returns how `a` / 10^`aScale` compares with `b` / 10^`bScale`: below 0, 0 or above 0, exactly. All are integers. */
export function compareAmounts(a: string, aScale: number, b: string, bScale: number): number {
  const left = BigInt(a) * 10n ** BigInt(bScale);
  const right = BigInt(b) * 10n ** BigInt(aScale);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Returns the unit for `units` of it: a plain word takes its plural (`points`), a ticker such as MYST stays. */
export function unitText(unit: string, units: string, scale: number): string {
  const one = formatAmount(units, scale)?.replace(/\.0+$/, "") === "1";
  return one || !/^[a-z]+$/.test(unit) ? unit : `${unit}s`;
}
