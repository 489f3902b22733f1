import fc from "fast-check";
import { isSafeNumber, parse } from "lossless-json";
import { describe, expect, it } from "vitest";
import { plainJson } from "../../../collector/api/plain-json.ts";

const written = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map(String),
  fc.constantFrom("0", "-0", "1.50", "1e5", "1E+400", "-1.25e-7", "123456789012345", "9007199254740993", "0.10"),
  fc.json({ noUnicodeString: false }),
);

describe("a line's object", () => {
  it("has every number as it was written, and those that would be rounded as text", () => {
    fc.assert(
      fc.property(fc.array(written, { maxLength: 6 }), fc.constantFrom("", " ", "\n"), (values, space) => {
        const text = `{"a":${space}[${values.join(`,${space}`)}],"n":${values[0] ?? 1}}`;
        const exact = parse(text, undefined, (digits) => (isSafeNumber(digits) ? Number(digits) : digits));
        expect(plainJson(text)).toEqual(exact);
      }),
      { numRuns: 500 },
    );
    expect(plainJson('{"n":9007199254740993,"m":[1.5,-12345678901234567.5]}')).toEqual({
      n: "9007199254740993",
      m: [1.5, "-12345678901234567.5"],
    });
  });
});
