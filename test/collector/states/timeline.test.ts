import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  censored,
  type LayerChange,
  type Timeline,
  withChange,
  withoutSilence,
} from "../../../collector/states/timeline.ts";

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

describe("how far the ends of a stretch were seen", () => {
  const event = (second: number, value: string): LayerChange => ({ ...change(second, value), byEvent: true });
  const inventory = (second: number, value: string): LayerChange => ({
    ...change(second, value),
    evidence: { kind: "inventory", writtenAt: at(second).toISOString() },
  });
  const seen = (changes: readonly LayerChange[]): string[] =>
    censored([], changes.reduce(withChange, [])).map((one) => `${one.value} ${one.startCensoring}-${one.endCensoring}`);

  it("is all of it where events told, a time between two looks where looks found it", () => {
    expect(seen([event(1, "up"), event(5, "down"), event(9, "up")])).toEqual([
      "up none-none",
      "down none-none",
      "up none-right",
    ]);
    expect(seen([change(1, "up"), change(5, "down"), event(9, "up")])).toEqual([
      ...["up left-interval", "down interval-none", "up none-right"],
    ]);
  });

  it("is not at all at the first evidence, after what is not known, and while it lasts", () => {
    expect(seen([change(1, "up")])).toEqual(["up left-right"]);
    expect(seen([change(1, "up"), change(5, "unknown", "silence"), change(9, "up"), change(12, "down")])).toEqual([
      ...["up left-right", "unknown none-none", "up left-interval", "down interval-right"],
    ]);
    // An event that ends a silence tells when what it tells of began.
    expect(seen([change(1, "up"), change(5, "unknown", "silence"), event(9, "down")])).toEqual([
      ...["up left-right", "unknown none-none", "down none-right"],
    ]);
    expect(seen([change(1, "unknown", "silence")])).toEqual(["unknown none-right"]);
  });

  it("is not at all where the operator ended it, unless the node itself told before", () => {
    expect(seen([change(1, "up"), inventory(5, "down")])).toEqual(["up left-right", "down interval-right"]);
    expect(seen([change(1, "up"), event(4, "down"), inventory(5, "down")])).toEqual([
      "up left-none",
      "down none-right",
    ]);
    expect(seen([inventory(1, "down"), change(5, "up")])).toEqual(["down left-interval", "up interval-right"]);
  });

  it("follows late evidence, and knows no more of a part than of the whole", () => {
    expect(seen([change(1, "up"), change(9, "down"), event(6, "down")])).toEqual(["up left-none", "down none-right"]);
    const evidence = fc.array(
      fc.record({
        second: fc.integer({ min: 0, max: 59 }),
        value: fc.constantFrom("up", "down", "unknown"),
        kind: fc.constantFrom(event, change, inventory),
      }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(evidence, (list) => {
        let stored: Timeline = [];
        for (const [index, { second, value, kind }] of list.entries()) {
          const told = kind(second, value);
          // As the store does it: what lasts beyond the evidence, or ends at it, is read and written back.
          const split = stored.findIndex(({ to }) => to === null || to.getTime() >= told.at.getTime());
          const kept = split === -1 ? stored : stored.slice(0, split);
          const read = split === -1 ? [] : stored.slice(split);
          const made = censored(read, withChange(read, told)).map((one) => ({
            ...one,
            id: one.id ?? `${index}-${second}`,
          }));
          stored = [...kept, ...made];
        }
        expect(stored).toEqual(censored([], stored));
      }),
    );
  });
});
