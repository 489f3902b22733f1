import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoff } from "../../../collector/web/src/backoff.ts";
import { formatBytes } from "../../../collector/web/src/bytes.ts";
import { eventText } from "../../../collector/web/src/journal-event.ts";
import { hashOf, routeOf } from "../../../collector/web/src/route.ts";
import { shortenId } from "../../../collector/web/src/shorten.ts";
import { formatAgo, formatDuration, formatInstant, instantOf } from "../../../collector/web/src/time.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

describe("a length of time", () => {
  test.each([
    [-5000, "0 s"],
    [0, "0 s"],
    [999, "0 s"],
    [12_400, "12 s"],
    [59_999, "59 s"],
    [minute, "1 min"],
    [hour - 1, "59 min"],
    [hour, "1 h"],
    [2 * hour + 5 * minute, "2 h 5 min"],
    [day - 1, "23 h 59 min"],
    [day, "1 d"],
    [3 * day + 4 * hour, "3 d 4 h"],
    [10 * day - 1, "9 d 23 h"],
    [143 * day + 20 * hour, "143 d"],
  ])("of %d ms is said as %s", (ms, words) => {
    expect(formatDuration(ms)).toBe(words);
  });

  test("never claims more time than has passed", () => {
    const sizes = { d: day, h: hour, min: minute, s: 1000 } as const;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4000 * day }), (ms) => {
        const said = [...formatDuration(ms).matchAll(/([0-9]+) (d|h|min|s)/g)].reduce(
          (sum, [, count, unit]) => sum + Number(count) * sizes[unit as keyof typeof sizes],
          0,
        );
        expect(said).toBeLessThanOrEqual(ms);
        expect(ms - said).toBeLessThan(day);
      }),
    );
  });
});

describe("an instant", () => {
  test("that has only just passed, or that a clock ahead of ours gave, is just now", () => {
    expect(formatAgo(5000, 5400)).toBe("just now");
    expect(formatAgo(9000, 5400)).toBe("just now");
    expect(formatAgo(5000, 17_000)).toBe("12 s ago");
  });

  test("is written in UTC and says so", () => {
    expect(formatInstant(Date.UTC(2026, 9, 3, 12, 3, 4, 567))).toBe("2026-10-03 12:03:04 UTC");
  });

  test("that is missing or unreadable is none", () => {
    expect(instantOf(null)).toBeNull();
    expect(instantOf(undefined)).toBeNull();
    expect(instantOf("yesterday")).toBeNull();
    expect(instantOf("1970-01-01T00:00:00Z")).toBe(0);
  });
});

describe("a number of bytes", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [327_155_712, "312 MiB"],
    [1024 ** 3 - 1, "1.0 GiB"],
    [1.4 * 1024 ** 3, "1.4 GiB"],
  ])("%d is shown as %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("the pause before another try", () => {
  test("grows from one second to at most half a minute and never falls under half of that", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
        const ceiling = Math.min(30_000, 1000 * 2 ** (attempt - 1));
        expect(backoff(attempt, random)).toBeLessThanOrEqual(ceiling);
        expect(backoff(attempt, random)).toBeGreaterThanOrEqual(ceiling / 2);
      }),
    );
  });
});

describe("the address of a view", () => {
  test("leads back to the view it was made of", () => {
    expect(routeOf(hashOf({ view: "node", key: "local/12" }))).toEqual({ view: "node", key: "local/12" });
    expect(routeOf(hashOf({ view: "fleet" }))).toEqual({ view: "fleet" });
  });

  test.each(["", "#", "#/nodes/", "#/nodes/local", "#/nodes/Local/1", "#/nodes/local/01", "#/nodes/../../x/1"])(
    "%j names no node and shows the fleet",
    (hash) => {
      expect(routeOf(hash)).toEqual({ view: "fleet" });
    },
  );
});

test("a long id keeps both ends, a short one stays whole", () => {
  expect(shortenId("7f3a1c5e-94d2-4b1f-a0c8-000000009e02")).toBe("7f3a1c…9e02");
  expect(shortenId("practice-12a")).toBe("practice-12a");
});

describe("a journal event", () => {
  const item = (event: unknown) => ({
    journal: "j",
    n: 1,
    at: "2026-10-03T12:00:00.000Z",
    kind: "event" as const,
    everySeconds: 10,
    line: { event },
  });

  test("is its name in words with the details it carries, those it does not know too", () => {
    expect(
      eventText(item({ name: "unit-exited", unit: "browser", code: 1, signal: null, novel: { deep: true } })),
    ).toEqual({ name: "unit exited", details: 'unit browser, code 1, novel {"deep":true}' });
  });

  test("is none when the line has no name for it or is a sample", () => {
    expect(eventText(item({ unit: "browser" }))).toBeNull();
    expect(eventText(item(null))).toBeNull();
    expect(eventText({ ...item({ name: "boot" }), kind: "sample" })).toBeNull();
  });
});
