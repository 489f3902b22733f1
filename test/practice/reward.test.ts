import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Arrival, dayOf, unitsEarned, uptimeAdded, uptimeByDay } from "../../practice/reward.ts";

const minute = 60_000;
const toleranceMs = 25 * minute;
const start = Date.UTC(2026, 10, 21, 22);

/** Arrivals on whole minutes over three days, in order, some of which do not count. */
const arrivals = fc
  .uniqueArray(fc.integer({ min: 0, max: 3 * 1440 }), { maxLength: 300 })
  .chain((minutes) => fc.tuple(fc.constant(minutes.sort((a, b) => a - b)), fc.infiniteStream(fc.nat(19))))
  .map(([minutes, chance]) =>
    minutes.map((at): Arrival => ({ at: start + at * minute, counted: chance.next().value !== 0 })),
  );

/** Another way to the same answer: marks each minute that two counted neighbours within the tolerance enclose. */
function minutesHeard(heard: readonly Arrival[]): ReadonlyMap<string, number> {
  const days = new Map<string, number>();
  for (let at = start; at <= start + 3 * 1440 * minute; at += minute) {
    const before = heard.filter((a) => a.at <= at).at(-1);
    const after = heard.find((a) => a.at > at);
    if (before?.counted && after?.counted && after.at - before.at <= toleranceMs)
      days.set(dayOf(at), (days.get(dayOf(at)) ?? 0) + minute);
  }
  return days;
}

describe("the uptime rule", () => {
  it("counts exactly the minutes between two heartbeats that were heard, each on its own day", () => {
    fc.assert(
      fc.property(arrivals, (heard) => {
        expect([...uptimeByDay(heard, toleranceMs)].sort()).toEqual([...minutesHeard(heard)].sort());
      }),
      { numRuns: 60 },
    );
  });

  it("gives the same days however the heartbeats are split into batches", () => {
    fc.assert(
      fc.property(arrivals, fc.array(fc.nat(300), { maxLength: 10 }), (heard, cuts) => {
        const days = new Map<string, number>();
        const edges = [0, ...cuts.filter((cut) => cut < heard.length).sort((a, b) => a - b), heard.length];
        for (const [i, from] of edges.entries()) {
          // A batch carries the last heartbeat of the one before, as the network does.
          for (const [day, ms] of uptimeByDay(heard.slice(Math.max(0, from - 1), edges[i + 1] ?? from), toleranceMs))
            days.set(day, (days.get(day) ?? 0) + ms);
        }
        expect([...days].sort()).toEqual([...uptimeByDay(heard, toleranceMs)].sort());
      }),
    );
  });

  it("never counts more than the time between the first heartbeat and the last", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 10 * 86_400_000 })),
        fc.integer({ min: 1, max: 1e8 }),
        (raw, most) => {
          const times = raw.sort((a, b) => a - b).map((ms) => ({ at: start + ms, counted: true }));
          const sum = [...uptimeByDay(times, most).values()].reduce((a, b) => a + b, 0);
          expect(sum).toBeLessThanOrEqual((times.at(-1)?.at ?? 0) - (times[0]?.at ?? 0));
        },
      ),
    );
  });

  it("pays a quarter of a point for each full 10 minutes and nothing for the rest", () => {
    expect(unitsEarned(599_999, 0)).toBe(0n);
    expect(unitsEarned(600_000, 0)).toBe(25_000n);
    expect(unitsEarned(86_400_000, 0)).toBe(3_600_000n);
  });

  it("pays three quarters of a point for each tap", () => {
    expect(unitsEarned(0, 1)).toBe(75_000n);
    expect(unitsEarned(600_000, 3)).toBe(250_000n);
  });

  it("splits an interval at midnight UTC", () => {
    const midnight = Date.UTC(2026, 10, 22);
    expect(
      uptimeAdded(
        { at: midnight - 4 * minute, counted: true },
        { at: midnight + 6 * minute, counted: true },
        toleranceMs,
      ),
    ).toEqual([
      { day: "20261121", ms: 4 * minute },
      { day: "20261122", ms: 6 * minute },
    ]);
  });
});
