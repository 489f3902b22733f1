import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { amountText, compareAmounts, formatAmount, unitText } from "../../../collector/web/src/amount.ts";

const units = fc.bigInt({ min: -(10n ** 38n), max: 10n ** 38n });
const scale = fc.integer({ min: 0, max: 20 });

describe("an amount in its smallest unit", () => {
  test("reads back to exactly the same integer, whatever its size and scale", () => {
    fc.assert(
      fc.property(units, scale, (amount, digits) => {
        const text = formatAmount(String(amount), digits) ?? "";
        const [whole = "", fraction = ""] = text.replace("−", "").split(".");
        const magnitude = BigInt(whole.replaceAll(",", "") + fraction);
        expect(fraction).toHaveLength(digits);
        expect(text.startsWith("−") ? -magnitude : magnitude).toBe(amount);
      }),
    );
  });

  test("has its whole part in groups of three", () => {
    fc.assert(
      fc.property(units, scale, (amount, digits) => {
        expect(amountText(String(amount), digits)?.whole).toMatch(/^(0|[1-9][0-9]{0,2}(,[0-9]{3})*)$/);
      }),
    );
  });

  test("is not rounded where a float would be", () => {
    expect(formatAmount("9007199254740993", 5)).toBe("90,071,992,547.40993");
    expect(formatAmount("123456789012345678901234567890", 18)).toBe("123,456,789,012.345678901234567890");
  });

  test("shows every digit of its scale, zeros too", () => {
    expect(formatAmount("25000", 5)).toBe("0.25000");
    expect(formatAmount("1234500000", 5)).toBe("12,345.00000");
    expect(formatAmount("0", 5)).toBe("0.00000");
    expect(formatAmount("-1", 5)).toBe("−0.00001");
    expect(formatAmount("42", 0)).toBe("42");
  });

  test("has no sign when it is nothing", () => {
    expect(formatAmount("-0", 2)).toBe("0.00");
  });

  test.each(["", "1.5", "1e5", "NaN", "0x10", " 1", "--1"])("is no amount when its units are %j", (text) => {
    expect(formatAmount(text, 5)).toBeNull();
  });

  test.each([-1, 1.5, Number.NaN])("is no amount when its scale is %j", (digits) => {
    expect(formatAmount("1", digits)).toBeNull();
  });
});

describe("comparing amounts", () => {
  test("agrees with comparing their exact values, across scales", () => {
    fc.assert(
      fc.property(units, scale, fc.integer({ min: 0, max: 6 }), (amount, digits, more) => {
        const finer = amount * 10n ** BigInt(more);
        expect(compareAmounts(String(amount), digits, String(finer), digits + more)).toBe(0);
        expect(compareAmounts(String(amount), digits, String(finer + 1n), digits + more)).toBe(-1);
        expect(compareAmounts(String(finer + 1n), digits + more, String(amount), digits)).toBe(1);
      }),
    );
  });
});

describe("a unit", () => {
  test("takes its plural unless there is exactly one", () => {
    expect(unitText("point", "123", 2)).toBe("points");
    expect(unitText("point", "0", 2)).toBe("points");
    expect(unitText("point", "100", 2)).toBe("point");
    expect(unitText("point", "1", 0)).toBe("point");
  });

  test("stays as it is when it is a ticker", () => {
    expect(unitText("MYST", "123", 2)).toBe("MYST");
  });
});
