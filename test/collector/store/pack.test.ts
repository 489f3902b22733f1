import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeLine, type JournalLine } from "../../../cloud-init/agent/line.ts";
import { packLines, type StoredLine, unpackLines } from "../../../collector/store/pack.ts";
import { nodeLife, randomFrom } from "../../harness/node-life.ts";

const runs = Number(process.env.PACKS ?? 300);
const runsMs = 300_000 + runs * 100;

/** Returns `count` lines of a node's life, as they are stored. */
function lived(seed: number, count: number, everySeconds: number): StoredLine[] {
  const life = nodeLife({ journal: randomUUID(), from: Date.UTC(2027, 1, 3), everySeconds, random: randomFrom(seed) });
  return Array.from({ length: count }, () => {
    const { line, text } = life.next().value as { line: JournalLine; text: string };
    const { n, boot, mono_ms: monoMs, every_s: everyS } = line;
    return { n, at: Date.parse(line.at), boot, monoMs, everyS, line: text };
  });
}

const sizeOf = (lines: readonly StoredLine[]): number => lines.reduce((sum, { line }) => sum + line.length, 0);

// Numbers in every way of writing them, and what only looks like one.
const hostileNumber = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.maxSafeInteger().map(String),
  fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map(String),
  fc.constantFrom(
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1.50",
    "1e5",
    "1E+05",
    "-1.25e-7",
    "0.1",
    "00012",
    "9007199254740993",
    "1.",
  ),
);
const hostileText = fc.oneof(
  fc.string({ unit: "grapheme" }).map((value) => JSON.stringify(value)),
  fc.date({ noInvalidDate: true }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    '"2027-02-29T00:00:00.000Z"',
    '"2027-01-01T24:00:00.000Z"',
    '"2027-01-01T00:00:00.1Z"',
    '"\\u0000"',
    '"a\\"b\\\\"',
    '"x\u2028y"',
    '"',
    "null",
    "[[]]",
    "\t1\r",
    '"crc":"00000000"}',
  ),
);
const member = fc.tuple(
  fc.constantFrom("a", "b", "state", "at", "crc", "é:", "__proto__", "t"),
  fc.oneof(hostileNumber, hostileText),
);
const hostileBody = fc
  .array(member, { maxLength: 8 })
  .map((members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`);
const hostileLine = fc.oneof(
  hostileBody,
  hostileBody.map((body) => `${body.slice(0, -1)},"crc":"deadbeef"}`),
  hostileBody.map((body) => encodeLine({ v: 1, rest: body } as unknown as JournalLine)),
  fc.string({ unit: "grapheme" }),
  fc.constant(""),
);
const hostileStored: fc.Arbitrary<StoredLine> = fc.record({
  n: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  at: fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
  boot: fc.string({ unit: "grapheme" }),
  monoMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
  everyS: fc.oneof(fc.constant(300), fc.constant(-0), fc.double({ noNaN: true, noDefaultInfinity: true })),
  line: hostileLine,
});

describe("a pack", () => {
  it("gives back the lines of a node byte for byte, in a twentieth of their size", () => {
    for (const seed of [1, 2, 3]) {
      const day = lived(seed, 288, 300);
      const pack = packLines(day);
      expect(unpackLines(pack)).toEqual(day);
      expect(pack.length).toBeLessThan(sizeOf(day) / 20);
    }
  });

  it(
    "gives back lines that nobody would write",
    () => {
      fc.assert(
        fc.property(fc.array(hostileStored, { minLength: 1, maxLength: 30 }), (lines) => {
          expect(unpackLines(packLines(lines))).toEqual(lines);
        }),
        { numRuns: runs },
      );
    },
    runsMs,
  );

  it(
    "gives back a day in which a few lines are damaged, cut off or of another agent",
    () => {
      fc.assert(
        fc.property(
          fc.integer(),
          fc.array(fc.tuple(fc.nat(49), hostileLine), { maxLength: 5 }),
          fc.array(fc.tuple(fc.nat(49), fc.nat(700), fc.string({ unit: "grapheme", maxLength: 3 })), { maxLength: 5 }),
          (seed, replaced, spliced) => {
            const lines = lived(seed, 50, 10);
            const change = (index: number, line: string): void => {
              lines[index] = { ...(lines[index] as StoredLine), line };
            };
            for (const [index, line] of replaced) change(index, line);
            for (const [index, where, what] of spliced) {
              const before = lines[index]?.line ?? "";
              change(index, before.slice(0, where) + what + before.slice(where + 1));
            }
            expect(unpackLines(packLines(lines))).toEqual(lines);
          },
        ),
        { numRuns: Math.ceil(runs / 5) },
      );
    },
    runsMs,
  );

  it("is refused when a byte of it was changed, or gives back the same lines, and is refused without its end", () => {
    const lines = lived(5, 40, 300);
    const pack = packLines(lines);
    let same = 0;
    for (let index = 0; index < pack.length; index += 7) {
      const changed = Buffer.from(pack);
      changed[index] = (changed[index] ?? 0) ^ 0x10;
      let back: StoredLine[];
      try {
        back = unpackLines(changed);
      } catch (error) {
        expect(error, `byte ${index}`).toBeInstanceOf(Error);
        continue;
      }
      // Some bits of a frame are padding, and mean nothing.
      same++;
      expect(back, `byte ${index}`).toEqual(lines);
    }
    expect(same).toBeLessThan(pack.length / 7 / 20);
    expect(() => unpackLines(pack.subarray(0, -3))).toThrow();
  });
});
