import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LayerChange, type Timeline, withChange, withoutSilence } from "../../../collector/states/timeline.ts";

const at = (second: number): Date => new Date(Date.UTC(2026, 0, 1, 0, 0, second));

function change(second: number, value: string, kind: "line" | "silence" = "line"): LayerChange {
  const evidence =
    kind === "line" ? ({ kind, journal: "j", n: second } as const) : ({ kind, after: at(0).toISOString() } as const);
  return { layer: "machine", at: at(second), value, reason: `${value} at ${second}`, evidence };
}

const shape = (timeline: Timeline): string =>
  timeline
    .map(({ from, to, value }) => `${value}[${from.getUTCSeconds()},${to === null ? "" : to.getUTCSeconds()})`)
    .join(" ");

describe("a layer's timeline", () => {
  it("opens a stretch with the first evidence and closes it with a different value", () => {
    expect(shape([change(1, "up"), change(5, "up"), change(9, "down")].reduce(withChange, []))).toBe(
      "up[1,9) down[9,)",
    );
  });

  it("puts late evidence where it belongs and leaves what is known of later instants", () => {
    const now = [change(1, "up"), change(20, "down")].reduce(withChange, []);
    expect(shape(withChange(now, change(10, "unknown")))).toBe("up[1,10) unknown[10,20) down[20,)");
    expect(shape(withChange(now, change(10, "down")))).toBe("up[1,10) down[10,)");
  });

  it("keeps the newest evidence as its date and the beginning as its beginning", () => {
    const [stretch] = [change(1, "up"), change(5, "up"), change(3, "up")].reduce(withChange, []);
    expect(stretch?.from).toEqual(at(1));
    expect(stretch?.asOf).toEqual(at(5));
  });

  it("takes back what silence made it conclude when the lines come after all", () => {
    const silent = [change(1, "up"), change(30, "unknown", "silence")].reduce(withChange, []);
    expect(shape(withChange(withoutSilence(silent, at(11)), change(11, "up")))).toBe("up[1,)");
    expect(shape(withChange(withoutSilence(silent, at(40)), change(40, "up")))).toBe("up[1,30) unknown[30,40) up[40,)");
  });

  it("has no holes, no overlaps and no two equal neighbours, whatever the order of evidence", () => {
    const changes = fc.array(
      fc.record({ second: fc.integer({ min: 0, max: 59 }), value: fc.constantFrom("up", "down", "unknown") }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(changes, (list) => {
        const timeline = list.map(({ second, value }) => change(second, value)).reduce(withChange, []);
        for (const [index, stretch] of timeline.entries()) {
          const next = timeline[index + 1];
          expect(stretch.to).toEqual(next?.from ?? null);
          if (stretch.to !== null) expect(stretch.to.getTime()).toBeGreaterThan(stretch.from.getTime());
          expect(next?.value).not.toBe(stretch.value);
        }
        expect(timeline.length > 0).toBe(list.length > 0);
      }),
    );
  });

  it("says in the end what each instant's last word was when evidence comes in order", () => {
    const words = fc.uniqueArray(
      fc.record({ second: fc.integer({ min: 0, max: 59 }), value: fc.constantFrom("up", "down", "unknown") }),
      { maxLength: 30, selector: ({ second }) => second },
    );
    fc.assert(
      fc.property(words, (list) => {
        const ordered = list.toSorted((one, other) => one.second - other.second);
        const timeline = ordered.map(({ second, value }) => change(second, value)).reduce(withChange, []);
        for (const { second, value } of ordered) {
          const here = timeline.find(({ from, to }) => from <= at(second) && (to === null || at(second) < to));
          expect(here?.value).toBe(value);
        }
      }),
    );
  });
});
