import cron from "node-cron";
import { afterEach, describe, expect, it } from "vitest";
import { cronOf } from "../../../collector/schedule/cron.ts";
import { planOf } from "../../../collector/schedule/plan.ts";

const zone = process.env.TZ;
afterEach(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

const at = (text: string): Date => new Date(`${text}Z`);
const times = (expression: string, after: string, until: string, limit = 1_000_000): string[] =>
  cronOf(expression)
    .dueTimes(at(after), at(until), limit)
    .map((due) => due.toISOString().slice(0, 19));

describe("the due times of an expression", () => {
  it("are those that node-cron itself matches, for every form of field", () => {
    const from = at("2027-02-25T22:57:13");
    for (const expression of [
      "*/7 * * * *",
      "5 0 * * *",
      "10,40 1-5 * * *",
      "0 0 L * *",
      "30 6 * * 1-5",
      "15 3 1 */2 *",
      "59 23 28 2 *",
      "0 12 * * 0",
    ]) {
      const task = cron.createTask(expression, () => undefined, { timezone: "UTC" });
      const minutes = Array.from(
        { length: 5 * 1440 },
        (_, minute) => new Date(at("2027-02-25T22:58:00").getTime() + minute * 60_000),
      );
      const until = minutes.at(-1) as Date;
      const own = cronOf(expression).dueTimes(from, until, 100_000);
      expect(own, expression).toEqual(minutes.filter((minute) => task.match(minute)));
    }
  });

  it("hold each hour once when daylight saving begins and ends, in any zone of the machine", () => {
    for (const tz of ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]) {
      process.env.TZ = tz;
      for (const day of ["2027-03-28", "2027-10-31", "2027-03-14", "2027-11-07", "2027-04-04", "2027-10-03"]) {
        const before = new Date(at(`${day}T00:00:00`).getTime() - 1).toISOString().slice(0, 23);
        const due = times("30 * * * *", before, `${day}T23:59:59`);
        expect(due, `${tz} ${day}`).toEqual(
          Array.from({ length: 24 }, (_, hour) => `${day}T${String(hour).padStart(2, "0")}:30:00`),
        );
      }
    }
  });

  it("know leap days, and those that a century leaves out", () => {
    expect(times("0 0 29 2 *", "2027-01-01T00:00:00", "2033-01-01T00:00:00")).toEqual([
      "2028-02-29T00:00:00",
      "2032-02-29T00:00:00",
    ]);
    expect(cronOf("0 0 29 2 *").next(at("2097-01-01T00:00:00"))).toEqual(at("2104-02-29T00:00:00"));
    expect(times("0 6 * * *", "2028-02-28T00:00:00", "2028-03-01T23:00:00")).toHaveLength(3);
  });

  it("are after the one instant and up to the other, and no more than asked for", () => {
    expect(times("*/10 * * * * *", "2027-01-01T00:00:10", "2027-01-01T00:00:30")).toEqual([
      "2027-01-01T00:00:20",
      "2027-01-01T00:00:30",
    ]);
    expect(times("* * * * * *", "2027-01-01T23:59:58", "2027-01-03T00:00:00", 3)).toEqual([
      "2027-01-01T23:59:59",
      "2027-01-02T00:00:00",
      "2027-01-02T00:00:01",
    ]);
  });

  it("are refused where there are none", () => {
    expect(() => cronOf("often")).toThrow(expect.objectContaining({ code: "cron" }));
    expect(() => cronOf("0 0 31 2 *")).toThrow(expect.objectContaining({ code: "cron" }));
  });
});

describe("a plan", () => {
  const job = { name: "job", cron: cronOf("* * * * *"), after: at("2027-01-01T00:00:00"), reachMs: 180_000 };

  it("runs the newest due time, late as it may be, and says why those before it were missed", () => {
    const { dues, until } = planOf(job, at("2027-01-01T00:05:30"), 100, "away");
    expect(dues.map(({ missed, answerable }) => [missed, answerable])).toEqual([
      ["no collector ran", false],
      ["no collector ran", false],
      ["no collector ran", true],
      ["no collector ran", true],
      [null, true],
    ]);
    expect(until).toEqual(at("2027-01-01T00:05:30"));
  });

  it("ends at the last due time it has room for, all of them missed", () => {
    const { dues, until } = planOf(job, at("2027-01-01T00:05:30"), 2, "away");
    expect(dues.map(({ missed }) => missed)).toEqual(["no collector ran", "no collector ran"]);
    expect(until).toEqual(at("2027-01-01T00:02:00"));
  });

  it("lets one row stand for what lies further back than 400 days", () => {
    const daily = { ...job, cron: cronOf("0 0 * * *"), after: at("2022-01-01T00:00:00") };
    const { dues } = planOf(daily, at("2027-01-01T12:00:00"), 1000, "away");
    expect(dues).toHaveLength(401);
    expect(dues[0]).toMatchObject({ due: at("2022-01-02T00:00:00"), answerable: false });
    expect(dues[0]?.missed).toContain("stands for every due time until 2025-11-27");
    expect(dues[1]?.due).toEqual(at("2025-11-28T00:00:00"));
  });
});
