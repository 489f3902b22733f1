import { describe, expect, it } from "vitest";
import { foldReward, type RewardMemory } from "../../../collector/states/reward.ts";

const at = (second: number): Date => new Date(Date.UTC(2026, 0, 1, 0, 0, second));

function values(points: readonly [second: number, units: bigint][], stallMs = 20_000): string[] {
  let memory: RewardMemory | null = null;
  return points.map(([second, units]) => {
    const folded = foldReward(memory, { networkNodeId: "a", units, at: at(second), reading: `${second}` }, stallMs);
    memory = folded.memory;
    return folded.change.value;
  });
}

describe("the reward layer", () => {
  it("is zero while the network reports no points", () => {
    expect(
      values([
        [0, 0n],
        [10, 0n],
        [50, 0n],
      ]),
    ).toEqual(["zero", "zero", "zero"]);
  });

  it("is earning from the reading that shows more until none was seen for too long", () => {
    expect(
      values([
        [0, 0n],
        [10, 25_000n],
        [20, 25_000n],
        [30, 25_000n],
        [31, 25_000n],
        [40, 50_000n],
      ]),
    ).toEqual(["zero", "earning", "earning", "earning", "stalled", "earning"]);
  });

  it("cannot tell from one reading whether points that are there still grow", () => {
    expect(
      values([
        [0, 70_000n],
        [10, 70_000n],
      ]),
    ).toEqual(["unknown", "stalled"]);
  });

  it("does not take a fall for earning", () => {
    expect(
      values([
        [0, 70_000n],
        [10, 80_000n],
        [20, 0n],
        [30, 5n],
      ]),
    ).toEqual(["unknown", "earning", "unknown", "earning"]);
  });

  it("counts beyond 2^53 exactly", () => {
    const big = 2n ** 60n;
    expect(
      values([
        [0, big],
        [10, big + 1n],
      ]),
    ).toEqual(["unknown", "earning"]);
  });
});
