import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plainJson } from "../../../collector/api/plain-json.ts";

const asNumber = fc
  .oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.maxSafeInteger())
  .filter((value) => !Object.is(value, -0) && (!Number.isInteger(value) || Number.isSafeInteger(value)))
  .map((value) => ({ written: JSON.stringify(value), read: value as unknown }));
const asText = fc
  .bigInt({ min: -(10n ** 40n), max: 10n ** 40n })
  .filter((value) => BigInt(Number(value)) !== value)
  .map((value) => ({ written: String(value), read: String(value) as unknown }));
const other = fc
  .oneof(fc.string({ unit: "grapheme" }), fc.constantFrom(":1e5", ",12345678901234567890", "\\", '"'), fc.boolean())
  .map((value) => ({ written: JSON.stringify(value), read: value as unknown }));

describe("a line's object", () => {
  it("has every number as it was written, and those that would be rounded as text", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(asNumber, asText, other), { maxLength: 6 }),
        fc.constantFrom("", " ", "\n"),
        (values, space) => {
          const text = `{"a":${space}[${values.map(({ written }) => written).join(`,${space}`)}],"state":"up"}`;
          expect(plainJson(text)).toEqual({ a: values.map(({ read }) => read), state: "up" });
        },
      ),
      { numRuns: 500 },
    );
    const text = '{"n":9007199254740993,"m":[1.5,-12345678901234567.5,1e400,1.50]}';
    expect(plainJson(text)).toEqual({
      n: "9007199254740993",
      m: [1.5, "-12345678901234567.5", "1e400", 1.5],
    });
  });
});
