import { beforeEach, describe, expect, it } from "vitest";
import type { Job, RunEnd } from "../../../collector/schedule/jobs.ts";
import { openSchedule } from "../../../collector/schedule/schedule.ts";
import type { Database } from "../../../collector/store/database.ts";
import { claimRuns, finishRun, planRuns, putJob } from "../../../collector/store/runs.ts";
import { serverForFile } from "../database.ts";

const server = serverForFile();
const start = Date.UTC(2027, 0, 1);
let database: Database;
let clock = start;
let monotonic = 0;

beforeEach(async () => {
  ({ database } = await server.fresh());
  clock = start;
  monotonic = 0;
});

type Opened = ReturnType<typeof openSchedule>;
const open = (other: { againMs?: number; skewMs?: number } = {}): Opened =>
  openSchedule({
    database,
    log: () => undefined,
    now: () => new Date(clock + (other.skewMs ?? 0)),
    monotonicMs: () => monotonic,
    ...other,
  });

/** Lets `ms` pass on both clocks. */
function pass(ms: number): void {
  clock += ms;
  monotonic += ms;
}

const job = (cron: string, run: Job["run"] = async () => ({ outcome: "ok" }), reachMs = 0): Job => ({
  name: "job",
  cron,
  reachMs,
  run,
});

/** Takes a turn and waits for the runs that it began. */
async function turn(...schedules: readonly Opened[]): Promise<void> {
  await Promise.all(schedules.map((schedule) => schedule.turn()));
  await Promise.all(schedules.map((schedule) => schedule.idle()));
}

/** Stands for the time that a lease lasts: only the database's clock decides on it. */
async function expireLeases(): Promise<void> {
  await database
    .updateTable("job")
    .set({ busy_until: new Date(0) })
    .execute();
  await database
    .updateTable("run")
    .set({ lease_until: new Date(0) })
    .where("finished_at", "is", null)
    .execute();
}

async function ledger(): Promise<string[]> {
  const rows = await database.selectFrom("run").selectAll().orderBy("due").orderBy("id").execute();
  return rows.map(({ due, outcome, attempts }) => `${(due.getTime() - start) / 60_000} ${outcome} ${attempts}`);
}

describe("the schedule", () => {
  it("runs each due time once, whichever of several collectors comes first", async () => {
    const ran: number[] = [];
    const counted = job("* * * * *", async ({ due }) => {
      ran.push((due.getTime() - start) / 60_000);
      return { outcome: "ok" };
    });
    const schedules = [open(), open(), open({ skewMs: 1_500 })];
    await Promise.all(schedules.map((schedule) => schedule.add(counted)));
    for (let second = 0; second <= 600; second += 20) {
      await turn(...schedules);
      pass(20_000);
    }
    expect(ran.toSorted((one, other) => one - other)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(await ledger()).toEqual(ran.map((_, index) => `${index + 1} ok 1`));
  });

  it("records what was due in an absence of 30 hours as missed, and runs the newest late", async () => {
    const before = open();
    await before.add(job("*/10 * * * *"));
    pass(600_000);
    await turn(before);
    await before.stop();
    clock += 30 * 3_600_000 + 30_000;
    const after = [open(), open()];
    await Promise.all(after.map((schedule) => schedule.add(job("*/10 * * * *"))));
    await turn(...after);
    const rows = await database.selectFrom("run").selectAll().orderBy("due").execute();
    expect(rows.map(({ due }) => due.getTime())).toEqual(
      Array.from({ length: 181 }, (_, index) => start + (index + 1) * 600_000),
    );
    expect(
      rows.slice(1, -1).every(({ outcome, reason }) => outcome === "missed" && reason === "no collector ran"),
    ).toBe(true);
    expect(rows.at(-1)).toMatchObject({ outcome: "ok", attempts: 1, claimed_at: new Date(clock) });
  });

  it("lets the next run answer for missed due times that it can still reach, from the oldest of them on", async () => {
    const asked: (Date | null)[] = [];
    const series = job(
      "0 * * * *",
      async ({ since }) => {
        asked.push(since);
        return { outcome: asked.length === 2 ? "transient" : "ok" };
      },
      10 * 3_600_000,
    );
    const before = open();
    await before.add(series);
    pass(3_600_000);
    await turn(before);
    await before.stop();
    clock += 20 * 3_600_000;
    const after = open();
    await after.add(series);
    await turn(after);
    pass(3_600_000);
    await turn(after);
    const hour = (n: number): Date => new Date(start + n * 3_600_000);
    expect(asked).toEqual([null, hour(11), hour(12)]);
    const rows = await database.selectFrom("run").selectAll().orderBy("due").execute();
    const last = rows.at(-1);
    expect(rows.filter(({ outcome }) => outcome === "missed")).toHaveLength(19);
    expect(rows.filter(({ answered_by }) => answered_by === last?.id).map(({ due }) => due)).toEqual(
      Array.from({ length: 9 }, (_, index) => hour(12 + index)),
    );
  });

  it("tries a due time again when its collector died, counts the attempts, and gives up when the next one comes", async () => {
    const hung = open();
    let release: (end: RunEnd) => void = () => undefined;
    await hung.add(
      job(
        "* * * * *",
        () =>
          new Promise((resolve) => {
            release = resolve;
          }),
      ),
    );
    pass(60_000);
    await hung.turn();
    const other = open();
    await other.add(job("* * * * *"));
    await turn(other);
    expect(await ledger()).toEqual(["1 null 1"]);
    await expireLeases();
    pass(2_000);
    await turn(other);
    expect(await ledger()).toEqual(["1 ok 2"]);
    let recorded = 0;
    release({ outcome: "late", record: async () => void recorded++ });
    await hung.idle();
    expect(await ledger()).toEqual(["1 ok 2"]);
    expect(recorded).toBe(1);
  });

  it("calls a due time failed that was begun and overtaken, and missed that was only overtaken", async () => {
    await putJob(database, "job", "* * * * *", new Date(start));
    const dues = [1, 2].map((minute) => ({ due: new Date(start + minute * 60_000), missed: null, answerable: false }));
    await planRuns(
      database,
      [{ name: "job", after: new Date(start), until: new Date(start + 120_000), dues }],
      new Date(start),
    );
    await claimRuns(database, ["job"], { by: "dead", leaseMs: 1, most: 1, now: new Date(start + 60_000) });
    clock += 180_000;
    await expireLeases();
    const alive = open();
    await alive.add(job("* * * * *"));
    await turn(alive);
    expect(await ledger()).toEqual(["1 failed 1", "2 missed 0", "3 ok 1"]);
  });

  it("tries again after an error, up to three times, and says what it was", async () => {
    const schedule = open({ againMs: 0 });
    await schedule.add(
      job("0 * * * *", async () => {
        throw new Error("the disk was away");
      }),
    );
    pass(3_600_000);
    for (let attempt = 1; attempt <= 5; attempt++) {
      await turn(schedule);
      await expireLeases();
      pass(10_000);
    }
    expect(await ledger()).toEqual(["60 failed 3"]);
    const [row] = await database.selectFrom("run").select("reason").execute();
    expect(row?.reason).toBe("the disk was away");
  });

  it("writes what a run brought and its end together, or neither", async () => {
    const schedule = open();
    let broken = true;
    await schedule.add(
      job("* * * * *", async () => ({
        outcome: "ok",
        async record(transaction) {
          await transaction
            .insertInto("account")
            .values({ network: "n", account: "a", label: "", practice: true })
            .execute();
          if (broken) throw new Error("cut");
        },
      })),
    );
    pass(60_000);
    await turn(schedule);
    expect(await ledger()).toEqual(["1 null 1"]);
    expect(await database.selectFrom("account").selectAll().execute()).toEqual([]);
    broken = false;
    pass(60_000);
    await database
      .updateTable("job")
      .set({ busy_until: new Date(0) })
      .execute();
    await database
      .updateTable("run")
      .set({ lease_until: new Date(0) })
      .execute();
    await turn(schedule);
    expect(await ledger()).toEqual(["1 failed 1", "2 ok 1"]);
    expect(await database.selectFrom("account").selectAll().execute()).toHaveLength(1);
  });

  it("does nothing twice while the clock stands still", async () => {
    const schedule = open();
    await schedule.add(job("* * * * *"));
    pass(60_000);
    for (let index = 0; index < 5; index++) {
      monotonic += 60_000;
      await turn(schedule);
    }
    expect(await ledger()).toEqual(["1 ok 1"]);
  });

  it("neither loses nor doubles a due time when the clock leaps ahead and is set back", async () => {
    const schedule = open();
    await schedule.add(job("* * * * *"));
    pass(60_000);
    await turn(schedule);
    clock += 10 * 60_000;
    monotonic += 1_000;
    await turn(schedule);
    const [leapt] = await database
      .selectFrom("run")
      .select("reason")
      .where("outcome", "=", "missed")
      .limit(1)
      .execute();
    expect(leapt?.reason).toBe("the clock went forward, or the machine slept");
    clock -= 10 * 60_000;
    await turn(schedule);
    for (let minute = 0; minute < 14; minute++) {
      pass(60_000);
      await turn(schedule);
    }
    expect(await ledger()).toEqual(Array.from({ length: 15 }, (_, index) => `${index + 1} ok 1`));
  });

  it("plans what was due by the expression of before when a job's expression changes", async () => {
    const before = open();
    await before.add(job("* * * * *"));
    await before.stop();
    clock += 180_000;
    const after = open();
    await after.add(job("*/5 * * * *"));
    pass(120_000);
    await turn(after);
    expect(await ledger()).toEqual(["1 missed 0", "2 missed 0", "3 missed 0", "5 ok 1"]);
  });

  it("has nothing due while a job is off the schedule", async () => {
    const schedule = open();
    await schedule.add(job("* * * * *"));
    await schedule.leave("job", true);
    pass(600_000);
    await schedule.add(job("* * * * *"));
    pass(60_000);
    await turn(schedule);
    expect(await ledger()).toEqual(["11 ok 1"]);
  });

  it("gives a run back when it is stopped, for the next collector to take up at once", async () => {
    const stopping = open();
    await stopping.add(
      job(
        "0 * * * *",
        ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      ),
    );
    pass(3_600_000);
    await stopping.turn();
    await stopping.stop();
    const next = open();
    await next.add(job("0 * * * *"));
    await expireLeases();
    await turn(next);
    expect(await ledger()).toEqual(["60 ok 2"]);
  });

  it("gives each due time to one of many who claim it at once, and its end to one of many who note it", async () => {
    const names = Array.from({ length: 50 }, (_, index) => `job ${index}`);
    const now = new Date(start + 60_000);
    for (const name of names) await putJob(database, name, "* * * * *", new Date(start));
    const plans = names.map((name) => ({
      name,
      after: new Date(start),
      until: now,
      dues: [{ due: now, missed: null, answerable: false }],
    }));
    await Promise.all(Array.from({ length: 8 }, () => planRuns(database, plans, now)));
    const claims: { id: string; job: string; due: Date; attempt: number }[] = [];
    for (let round = 0; round < 3; round++) {
      const won = await Promise.all(
        Array.from({ length: 8 }, (_, by) =>
          claimRuns(database, names, { by: `${by}`, leaseMs: 60_000, most: 50, now }),
        ),
      );
      claims.push(...won.flat());
    }
    expect(claims).toHaveLength(50);
    expect(new Set(claims.map(({ job: name }) => name)).size).toBe(50);
    const end = { outcome: "ok", reason: null, answersFrom: null };
    const noted = await Promise.all([...claims, ...claims].map((claim) => finishRun(database, claim, end, now)));
    expect(noted.filter(Boolean)).toHaveLength(50);
  });
});
