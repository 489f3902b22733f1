import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { keepSchedule, openSchedule } from "../../collector/schedule/schedule.ts";
import { openDatabase } from "../../collector/store/database.ts";
import { startEmbedded } from "../../collector/store/embedded.ts";
import { type BenchContext, type Figure, figure, timed } from "./figure.ts";

/**
 * The schedule's ledger with 10,000 jobs that do nothing, one due time a minute each, spread over its seconds: how late
 * runs begin, and what a run costs. The floor is the least that a claim and an end in PostgreSQL can be, one run at a
 * time: an insert and an update by the driver alone.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  const jobs = Math.max(60, Math.round(10_000 * scale));
  const folder = await mkdtemp(join(tmpdir(), "gl-bench-"));
  const server = await startEmbedded(folder, () => undefined);
  try {
    const url = server.url("postgres");
    const database = await openDatabase(url, () => undefined);
    const now = (): Date => new Date();
    let ran = 0;
    const schedule = openSchedule({ database, log: () => undefined, now, monotonicMs: () => performance.now() });
    say(`${jobs} jobs`);
    for (let index = 0; index < jobs; index++) {
      await schedule.add({
        name: `job ${index}`,
        cron: `${index % 60} * * * * *`,
        reachMs: 0,
        async run() {
          ran++;
          return { outcome: "ok" };
        },
      });
    }
    const cpu = process.cpuUsage();
    const from = performance.now();
    // What became due while jobs were still being added is late by that.
    const startedAt = now();
    const stop = keepSchedule(schedule, () => undefined, now);
    while (now().getTime() < startedAt.getTime() + 62_000 && performance.now() - from < 120_000)
      await new Promise((resolve) => setTimeout(resolve, 100));
    await stop();
    const { user, system } = process.cpuUsage(cpu);
    const late = await database
      .selectFrom("run")
      .select(["due", "claimed_at"])
      .where("outcome", "=", "ok")
      .where("due", ">=", startedAt)
      .execute();
    const lateMs = late
      .map(({ due, claimed_at }) => (claimed_at === null ? 0 : claimed_at.getTime() - due.getTime()))
      .toSorted((one, other) => one - other);
    await database.destroy();

    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const rounds = Math.max(200, Math.round(2_000 * scale));
    await client.query("create table plain (job integer, due timestamptz, outcome text, primary key (job, due))");
    const floor = await timed(async () => {
      for (let index = 0; index < rounds; index++) {
        await client.query("insert into plain values ($1, now())", [index]);
        await client.query("update plain set outcome = 'ok' where job = $1", [index]);
      }
    });
    await client.end();
    const at = (share: number): number => lateMs[Math.floor((lateMs.length - 1) * share)] ?? 0;
    yield figure("schedule", "drift, p50", { value: at(0.5), unit: "ms", n: lateMs.length });
    yield figure("schedule", "drift, p99", { value: at(0.99), unit: "ms", n: lateMs.length, target: "value <= 1000" });
    yield figure("schedule", "collector's processor time a run", {
      value: (user + system) / 1000 / Math.max(ran, 1),
      floor: floor / rounds,
      unit: "ms",
      n: ran,
    });
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
