import fc from "fast-check";
import { expect, it } from "vitest";
import { heartbeatTolerance, networkTime, withSpeed } from "../../practice/clock.ts";

it("runs as many times as fast as real time as it was told", () => {
  const anchor = { realMs: 1000, networkMs: 50_000, speed: 20 };
  expect(networkTime(anchor, 1000)).toBe(50_000);
  expect(networkTime(anchor, 31_000)).toBe(650_000);
});

it("goes on without a jump when its speed changes", () => {
  fc.assert(
    fc.property(fc.nat(1e9), fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 }), (passed, a, b) => {
      const before = { realMs: 5, networkMs: 7, speed: a };
      const after = withSpeed(before, 5 + passed, b);
      expect(networkTime(after, 5 + passed)).toBe(networkTime(before, 5 + passed));
    }),
  );
});

it("forgives one lost heartbeat and not two", () => {
  const period = 30_000 * 20;
  expect(heartbeatTolerance(20)).toBeGreaterThan(2 * period);
  expect(heartbeatTolerance(20)).toBeLessThan(3 * period);
});
