import { sql } from "kysely";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { RecoverAnswer } from "../../../collector/journal/agent.ts";
import { actionLifeMs } from "../../../collector/recovery/ladder.ts";
import { type RecoverySettings, usualRecovery } from "../../../collector/recovery/settings.ts";
import { type Recovery, watchRecovery } from "../../../collector/recovery/watch.ts";
import type { Database } from "../../../collector/store/database.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { actionRows, brakeNow, releaseBrake, setBrake } from "../../../collector/store/recovery.ts";
import { serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const server = serverForFile();
const start = Date.UTC(2027, 2, 1);
const minute = 60_000;
let database: Database;
let now = start;
let answer: RecoverAnswer | Promise<RecoverAnswer> = { kind: "done" };
const asked: string[] = [];
const working: Recovery[] = [];
/** No grace after a start: what is stored here is as fresh as it gets. */
const settings: RecoverySettings = { ...usualRecovery, graceSeconds: { ...usualRecovery.graceSeconds, start: 0 } };

beforeEach(async () => {
  ({ database } = await server.fresh());
  now = start;
  answer = { kind: "done" };
  asked.length = 0;
});
afterEach(async () => {
  for (const one of working.splice(0)) await one.stop();
});

/** A collector's recovery whose nodes answer as the test says; what they are asked for is noted. */
function recovery(own: RecoverySettings = settings): Recovery {
  const made = watchRecovery(own, {
    database,
    log: () => undefined,
    now: () => new Date(now),
    fleet: {
      recover: async ({ key }, layer, action, signal) => {
        asked.push(`${key} ${layer} ${action}`);
        const aborted = new Promise<RecoverAnswer>((resolve) => {
          signal.addEventListener("abort", () => resolve({ kind: "silent", heard: true, detail: "it was given up" }));
        });
        return Promise.race([answer, aborted]);
      },
    },
  });
  working.push(made);
  return made;
}

const fleetOf = async (count: number, machine = "m"): Promise<void> => {
  const at = new Date(now - 1_000);
  const records = Array.from({ length: count }, (_, slot) =>
    nodeRecord(`home/${slot}`, `${machine}${slot}`, "/nowhere"),
  );
  await acceptInventory(database, inventoryFile(records, at), at);
};

/** Gives the layers machine and runtime of the first nodes these values from now on. */
async function layersAre(machine: string, runtime: string, count = 1): Promise<void> {
  const at = new Date(now);
  const evidence = machine === "down" ? { kind: "status", alive: false } : { kind: "line", journal: "j", n: 1 };
  await sql`update layer_interval set to_at = ${at} where node_id <= ${count} and to_at is null`.execute(database);
  await sql`insert into layer_interval (node_id, layer, value, reason, from_at, as_of, evidence)
    select id, layer, case when layer = 'machine' then ${machine} else ${runtime} end, 'so it is', ${at}, ${at}, ${JSON.stringify(evidence)}::jsonb
    from node, unnest(array['machine', 'runtime']) layer where id <= ${count}`.execute(database);
}

async function pass(several: readonly Recovery[], minutes: number, step = 1): Promise<void> {
  for (let passed = 0; passed < minutes; passed += step) {
    now += step * minute;
    await Promise.all(several.map((one) => one.look()));
    await Promise.all(several.map((one) => one.settled()));
  }
}

const actions = async () =>
  (await actionRows(database, { limit: 100 })).map(({ rung, outcome, detail, attempts }) => ({
    rung,
    outcome,
    detail,
    attempts,
  }));

it("several collectors at once do each action once", async () => {
  await fleetOf(3);
  await layersAre("up", "down", 2);
  const several = [recovery(), recovery(), recovery()];
  await pass(several, 20);
  expect(asked.map((line) => line.split(" ").slice(0, 2).join(" ")).toSorted()).toEqual([
    "home/0 runtime",
    "home/1 runtime",
  ]);
  expect(await actions()).toHaveLength(2);
});

it.each<[string, RecoverAnswer, string, string | null]>([
  ["was done", { kind: "done" }, "done", null],
  ["could not be done", { kind: "failed", detail: "no systemd" }, "failed", "no systemd"],
  ["is refused", { kind: "refused", detail: "not here" }, "refused", "not here"],
  [
    "has nothing to be done with",
    { kind: "unavailable", detail: "The node does not run." },
    "unavailable",
    "The node does not run.",
  ],
])("an action that %s is over, and says so", async (_, told, outcome, detail) => {
  answer = told;
  await fleetOf(1);
  await layersAre("up", "down");
  await pass([recovery()], 16);
  expect((await actions()).at(-1)).toEqual({ rung: "runtime", outcome, detail, attempts: 1 });
});

it.each<[string, RecoverAnswer, string]>([
  ["keeps asking for time", { kind: "later", detail: "not yet" }, "unknown"],
  ["was never reached", { kind: "silent", heard: false, detail: "no route" }, "unreachable"],
  ["broke off", { kind: "silent", heard: true, detail: "it broke off" }, "unknown"],
])(
  "a node that %s is asked again under the same id, with pauses, and given up in the end",
  async (_, told, outcome) => {
    answer = told;
    await fleetOf(1);
    await layersAre("up", "down");
    const one = recovery();
    await pass([one], 15);
    const begun = now;
    while (now < begun + actionLifeMs + 2 * minute) {
      now += 20_000;
      await one.look();
      await one.settled();
    }
    const [last] = (await actions()).filter(({ outcome }) => outcome !== null);
    expect(last).toMatchObject({ rung: "runtime", outcome, detail: "detail" in told ? told.detail : null });
    expect(new Set(asked.slice(0, last?.attempts)).size).toBe(1);
    expect(last?.attempts).toBeGreaterThan(4);
    expect(last?.attempts).toBeLessThan(12);
  },
);

it("an answer that comes after an action was given up stands in its place", async () => {
  let settle: (told: RecoverAnswer) => void = () => undefined;
  answer = new Promise((resolve) => {
    settle = resolve;
  });
  await fleetOf(1);
  await layersAre("up", "down");
  const slow = recovery();
  now += minute;
  await slow.look();
  now += 15 * minute;
  await slow.look();
  await slow.look();
  expect(asked).toHaveLength(1);
  await sql`update recovery_action set lease_until = clock_timestamp()`.execute(database);
  now += actionLifeMs + minute;
  await slow.look();
  expect(await actions()).toMatchObject([{ outcome: "unknown" }]);
  settle({ kind: "done" });
  await slow.settled();
  expect(await actions()).toMatchObject([{ outcome: "done" }]);
});

it("what was written and not sent yet is withdrawn with the brake, and another machine begins anew", async () => {
  await fleetOf(2);
  await layersAre("up", "down", 2);
  answer = new Promise(() => undefined);
  const first = recovery();
  for (let looks = 0; looks < 16; looks++) {
    now += minute;
    await first.look();
  }
  expect(asked).toHaveLength(2);
  // As a collector leaves it that dies between writing and sending.
  await sql`update recovery_action set attempts = 0, maybe_sent = false, lease_until = null where node_id = 1`.execute(
    database,
  );
  expect(await setBrake(database, new Date(now))).toBe(true);
  expect(await setBrake(database, new Date(now))).toBe(false);
  expect((await actions()).map(({ outcome, detail }) => [outcome, detail]).toSorted()).toEqual([
    ["unknown", "the operator paused recovery"],
    ["withdrawn", "the operator paused recovery"],
  ]);
  await first.stop();
  answer = { kind: "done" };
  const next = recovery();
  await pass([next], 120, 20);
  expect(asked).toHaveLength(2);
  expect(await releaseBrake(database, new Date(now))).toBe(true);
  expect(await brakeNow(database)).toBeNull();
  await fleetOf(2, "another");
  await pass([next], 3);
  const episodes = await database
    .selectFrom("recovery_episode")
    .select(["machine_id", "outcome"])
    .orderBy("id")
    .execute();
  expect(episodes.map(({ outcome }) => outcome)).toEqual(["replaced", "replaced", null, null]);
});

it("a node that is stopped, or leaves, takes its episode and what waits for it along; what passed by itself leaves none", async () => {
  await fleetOf(2);
  await layersAre("up", "down", 2);
  const one = recovery();
  await pass([one], 5);
  expect(await database.selectFrom("recovery_episode").select("id").execute()).toHaveLength(2);
  await layersAre("up", "up", 1);
  await pass([one], 15);
  expect(asked.map((line) => line.slice(0, 6))).toEqual(["home/1"]);
  expect(await database.selectFrom("recovery_episode").select("outcome").execute()).toEqual([{ outcome: null }]);
  const at = new Date(now);
  await acceptInventory(database, inventoryFile([nodeRecord("home/0", "m0", "/nowhere")], at), at);
  await pass([one], 1);
  expect(await database.selectFrom("recovery_episode").select("outcome").execute()).toEqual([{ outcome: "left" }]);
});

it("the daemon's own role may do all of it, and the brake is set once", async () => {
  await fleetOf(10);
  await layersAre("down", "down", 9);
  const several = [recovery(), recovery()];
  await pass(several, 90, 10);
  expect(asked).toEqual([]);
  expect(await database.selectFrom("recovery_brake").select(["cause", "reason"]).execute()).toEqual([
    { cause: "fleet", reason: "9 of 10 nodes that should run are in trouble at one time." },
  ]);
  await layersAre("up", "up", 8);
  await pass(several, 10);
  expect(await actions()).toMatchObject([{ rung: "rebuild", outcome: "proposed", attempts: 0 }]);
  const { rows } = await sql<{ role: string }>`select current_user as role`.execute(database);
  expect(rows[0]?.role).toBe("gradientlab_daemon");
});
