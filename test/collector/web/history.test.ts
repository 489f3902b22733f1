import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GapItem, StateItem } from "../../../collector/api/types.ts";
import { type LiveState, nothingYet, reduceLive } from "../../../collector/web/src/live-state.ts";
import { formatShare, gapStretches, sharesOf, stretchesOf } from "../../../collector/web/src/strip.ts";
import { healthyNode } from "./fleet-of.ts";

const at = (minute: number) => Date.UTC(2026, 9, 3, 12, minute);
const state = (value: string, from: number, to: number | null, layer: StateItem["layer"] = "runtime"): StateItem => ({
  layer,
  value,
  reason: "",
  from: new Date(at(from)).toISOString(),
  to: to === null ? null : new Date(at(to)).toISOString(),
  asOf: new Date(at(from)).toISOString(),
  startCensoring: "none",
  endCensoring: to === null ? "right" : "none",
  evidence: {},
});

describe("a status strip", () => {
  test("cuts states to its window, leaves other layers out, and lets the last one last until now", () => {
    const states = [state("up", 40, null), state("up", 0, 30), state("down", 30, 40), state("up", 0, 50, "machine")];
    expect(stretchesOf(states, "runtime", at(10), at(60)).map(({ from, to, value }) => [from, to, value])).toEqual([
      [at(10), at(30), "up"],
      [at(30), at(40), "down"],
      [at(40), at(60), "up"],
    ]);
  });

  test("leaves open what no state covers", () => {
    expect(stretchesOf([state("up", 0, 5)], "runtime", at(10), at(60))).toEqual([]);
    expect(stretchesOf([state("up", 70, null)], "runtime", at(10), at(60))).toEqual([]);
  });

  test("adds up how long each value held, no more and no less than what is on record", () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 0, max: 100 }), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(cuts, (minutes) => {
        const sorted = minutes.toSorted((a, b) => a - b);
        const states = sorted
          .slice(1)
          .map((end, index) => state(index % 2 === 0 ? "up" : "down", sorted[index] as number, end));
        const stretches = stretchesOf(states, "runtime", at(20), at(80));
        const shares = sharesOf(stretches);
        const covered = Math.max(0, Math.min(80, sorted.at(-1) ?? 0) - Math.max(20, sorted[0] ?? 0));
        expect(shares.reduce((sum, share) => sum + share.ms, 0)).toBe(covered * 60_000);
      }),
    );
  });

  test("shows gaps, those still open up to now", () => {
    const gap = (from: number, to: number | null): GapItem => ({
      id: String(from),
      node: "a/0",
      network: null,
      account: null,
      kind: "unreachable",
      from: new Date(at(from)).toISOString(),
      to: to === null ? null : new Date(at(to)).toISOString(),
      reason: "no answer",
    });
    expect(gapStretches([gap(50, null), gap(5, 15)], at(10), at(60)).map(({ from, to }) => [from, to])).toEqual([
      [at(10), at(15)],
      [at(50), at(60)],
    ]);
  });
});

describe("a share", () => {
  test("is all or nothing only when it is", () => {
    const text = (part: number, whole: number) => formatShare(part, whole).replace("\u00a0", " ");
    expect(text(10, 10)).toBe("100 %");
    expect(text(0, 10)).toBe("0 %");
    expect(text(999_999, 1_000_000)).toBe("99.9 %");
    expect(text(1, 1_000_000)).toBe("0.1 %");
    expect(text(1, 3)).toBe("33.3 %");
  });
});

describe("what the page knows", () => {
  const known: LiveState = { ...nothingYet, nodes: [healthyNode("a", 0)], updatedAt: 5 };
  const failure = { code: "api-unreachable", message: "No answer.", fix: "Start it." };

  test("is not lost when a request fails", () => {
    const after = reduceLive(known, { kind: "failed", failure });
    expect(after.nodes).toBe(known.nodes);
    expect(after.updatedAt).toBe(5);
    expect(after.failure).toEqual(failure);
  });

  test("has no failure any more after an answer", () => {
    const failed = reduceLive(known, { kind: "failed", failure });
    expect(reduceLive(failed, { kind: "nodes", nodes: [], at: 9 })).toMatchObject({ failure: null, updatedAt: 9 });
    expect(reduceLive(failed, { kind: "node", node: healthyNode("a", 1), at: 9 })).toMatchObject({ failure: null });
  });

  test("dates an outage from its beginning, not from the last try", () => {
    const live = reduceLive(known, { kind: "opened", at: 10 });
    const lost = reduceLive(reduceLive(live, { kind: "lost", at: 20 }), { kind: "lost", at: 30 });
    expect(lost.connection).toEqual({ kind: "reconnecting", since: 20 });
    expect(reduceLive(lost, { kind: "opened", at: 40 }).connection).toEqual({ kind: "live", since: 40 });
  });
});
