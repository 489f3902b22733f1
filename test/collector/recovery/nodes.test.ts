import { existsSync, readFileSync } from "node:fs";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, it, type TestContext } from "vitest";
import { workloadsIn } from "../../../collector/inventory/workloads.ts";
import { agentOf } from "../../../collector/journal/agents.ts";
import { type FleetFollower, followFleet } from "../../../collector/journal/follow.ts";
import { turns } from "../../../collector/journal/turns.ts";
import { type RecoverySettings, usualRecovery } from "../../../collector/recovery/settings.ts";
import { watchRecovery } from "../../../collector/recovery/watch.ts";
import type { Database } from "../../../collector/store/database.ts";
import { acceptInventory } from "../../../collector/store/inventory.ts";
import { actionRows, openTroubles } from "../../../collector/store/recovery.ts";
import { groupIdentity, startGroup, stopGroup } from "../../../infra/providers/local/process/group.ts";
import type { GroupSpec } from "../../../infra/providers/local/process/spec.ts";
import {
  buildArtefacts,
  descendantsOf,
  journalOf,
  linesOf,
  listenForBeats,
  packExtension,
  plainSpec,
  sentrySpec,
  temporaryFolder,
  until,
} from "../../infra/providers/local/process/fixture.ts";
import { startCollectorProcess } from "../collector-process.ts";
import { serverForFile } from "../database.ts";
import { inventoryFile, nodeRecord, writeInventory } from "../inventory.ts";
import { agentFolder, nodeFolder } from "../node-folder.ts";

/** Nodes as they run on this machine: real supervisors, agents and browsers, repaired by verbs. */

const server = serverForFile();
/** The ladder as it is, in seconds instead of minutes. */
const hasty: RecoverySettings = {
  ...usualRecovery,
  graceSeconds: { start: 0, software: 1, machine: 1, verdict: 1 },
  waitSeconds: { runtime: 1, workload: 1, reboot: 1, verdict: 1 },
  steadySeconds: 2,
};
let built: Awaited<ReturnType<typeof temporaryFolder>>;
let artefacts: string;

/** What a test has begun, ended in the opposite order when it is over. The tests run side by side: they mostly wait. */
type Endings = (() => Promise<unknown>)[];
function endingsOf({ onTestFinished }: TestContext): Endings {
  const endings: Endings = [];
  onTestFinished(() => endAll(endings));
  return endings;
}

async function endAll(endings: Endings): Promise<void> {
  for (const end of endings.splice(0).reverse()) await end();
}

beforeAll(async () => {
  built = await temporaryFolder();
  artefacts = join(built.path, "bin");
  await buildArtefacts(artefacts);
});
afterAll(async () => {
  await built.remove();
  const agent = await agentFolder();
  if (agent !== undefined) await rm(agent, { recursive: true, force: true });
});

async function newNode(endings: Endings, spec: GroupSpec): Promise<{ directory: string; spec: GroupSpec }> {
  const folder = await temporaryFolder();
  const home = join(folder.path, "home");
  const directory = join(home, "nodes", "home", "0");
  endings.push(async () => {
    if (existsSync(directory)) await stopGroup(directory, { deadlineMs: 10_000 });
    await folder.remove();
  });
  await startGroup(home, directory, spec, { artefacts });
  return { directory, spec };
}

/** Follows and repairs the nodes of a database, as a collector does, with a look every 200 ms. */
async function atWork(endings: Endings, database: Database, settings: RecoverySettings): Promise<FleetFollower> {
  const dependencies = { database, log: () => undefined, now: () => new Date(), workloads: workloadsIn(null) };
  const fleet = followFleet(
    { ...dependencies, agentOf: (reach) => agentOf(reach, null), turns: { process: turns(4), ssh: turns(4) } },
    1,
  );
  const recovery = watchRecovery(settings, { ...dependencies, fleet });
  await fleet.look();
  let stopped = false;
  const looking = (async () => {
    while (!stopped) {
      await Promise.all([fleet.watchSilence(), recovery.look()]);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  endings.push(async () => {
    stopped = true;
    await looking;
    await recovery.stop();
    await fleet.stop();
  });
  return fleet;
}

const know = (database: Database, directory: string, { machineId, workload }: GroupSpec) =>
  acceptInventory(
    database,
    inventoryFile([nodeRecord("home/0", machineId, directory, { workload, network: null })], new Date()),
    new Date(),
  );

const actionsOf = async (database: Database) => (await actionRows(database, { limit: 100 })).toReversed();

const recoveriesIn = async (directory: string): Promise<string[]> =>
  linesOf(await journalOf(directory)).flatMap(({ event }) =>
    event?.name === "action" && event.verb === "recover" ? [`${event.layer} ${event.outcome}`] : [],
  );

/** A unit that comes up and ends with an error, again and again. */
const failing = ["/bin/sh", "-c", "sleep 3; exit 7"];

it.concurrent("a workload that cannot run is restarted, then all of it, then its machine, and then a rebuild is proposed", async (context) => {
  const endings = endingsOf(context);
  const { directory, spec } = await newNode(endings, plainSpec(failing, { workload: "sentry" }));
  const { database } = await server.fresh();
  await know(database, directory, spec);
  // While it starts anew it is a machine that does not answer: that is no reason to give it up at once.
  await atWork(endings, database, {
    ...hasty,
    steadySeconds: 30,
    graceSeconds: { ...hasty.graceSeconds, machine: 60 },
  });
  const proposal = await until("a proposal", 60_000, async () =>
    (await actionsOf(database)).find(({ outcome }) => outcome === "proposed"),
  );
  const actions = await actionsOf(database);
  expect(actions.map(({ rung, outcome, attempts }) => [rung, outcome, attempts])).toEqual([
    ["runtime", "done", 1],
    ["workload", "done", 1],
    ["reboot", "done", 1],
    ["rebuild", "proposed", 0],
  ]);
  expect(actions[0]?.reason).toMatch(/^runtime down: /);
  expect(actions[0]?.evidence).toMatchObject({ layer: "runtime", value: "down", kind: "line" });
  expect(proposal.detail).toMatch(/^Raise gradientlab:fleet\.groups\.home\.revision\.machine from 1 to 2: /);
  // What the node's own journal says of it: each was done, and it was started anew once.
  await until("the node's own word of all of them", 30_000, async () =>
    (await recoveriesIn(directory)).length >= 4 ? true : undefined,
  );
  expect(await recoveriesIn(directory)).toEqual(["runtime done", "workload done", "reboot begun", "reboot done"]);
  expect(linesOf(await journalOf(directory)).filter(({ event }) => event?.name === "boot")).toHaveLength(2);
  expect(await openTroubles(database)).toMatchObject([{ key: "home/0", trouble: "software" }]);
}, 120_000);

it.concurrent("a browser that hangs is restarted, earns again, and the episode is over", async (context) => {
  const endings = endingsOf(context);
  const folder = await temporaryFolder();
  endings.push(folder.remove);
  const [extension, beats] = await Promise.all([packExtension(folder.path), listenForBeats()]);
  endings.push(beats.close);
  const { directory, spec } = await newNode(endings, sentrySpec(extension, beats.origin, { everySeconds: 5 }));
  const { database } = await server.fresh();
  await know(database, directory, spec);
  await atWork(endings, database, { ...hasty, waitSeconds: { ...hasty.waitSeconds, runtime: 600 } });
  const layer = async (name: "app" | "runtime") =>
    database
      .selectFrom("layer_interval")
      .select(["value", "reason"])
      .where("layer", "=", name)
      .where("to_at", "is", null)
      .executeTakeFirst();
  await until("the extension", 90_000, async () => ((await layer("app"))?.value === "up" ? true : undefined));
  const browsers = async () =>
    (await descendantsOf(groupIdentity(directory)?.pid ?? 0)).filter(
      ({ args }) => args[1] === "--headless=new" && !args.some((word) => word.startsWith("--type=")),
    );
  const [hung] = await browsers();
  process.kill(hung?.pid ?? 0, "SIGSTOP");
  const action = await until("the restart", 90_000, async () =>
    (await actionsOf(database)).find(({ ended_at: ended }) => ended !== null),
  );
  // Its process is there, and its own supervisor sees nothing wrong.
  expect(action).toMatchObject({ rung: "runtime", outcome: "done", trouble: "software" });
  expect(action.reason).toMatch(/^app unknown: not measured: /);
  const over = await until("the end of the episode", 90_000, async () =>
    (await actionsOf(database)).find(({ episode_outcome: outcome }) => outcome !== null),
  );
  expect(over.episode_outcome).toBe("recovered");
  expect(await layer("app")).toMatchObject({ value: "up" });
  expect(await actionsOf(database)).toHaveLength(1);
  expect((await browsers()).map(({ pid }) => pid)).not.toContain(hung?.pid);
}, 240_000);

it.concurrent("many nodes that end at once set the brake; the first to be back release it, and the rest is seen to", async (context) => {
  const endings = endingsOf(context);
  const folder = await temporaryFolder();
  endings.push(folder.remove);
  const nodes = await Promise.all(
    Array.from({ length: 6 }, (_, slot) => nodeFolder(folder.path, `home/${slot}`, { everySeconds: 3 })),
  );
  const releases = new Map(nodes.map((node) => [node.key, node.live()]));
  endings.push(async () => {
    for (const release of releases.values()) release();
  });
  const live = (): void => {
    for (const node of nodes)
      if (releases.has(node.key)) node.append({ runtime: { state: "up", restarts: 0 }, app: { state: "up" } });
  };
  live();
  const beating = setInterval(live, 500);
  endings.push(async () => clearInterval(beating));
  const { database } = await server.fresh();
  const records = nodes.map(({ key, machineId, directory }) => nodeRecord(key, machineId, directory));
  await acceptInventory(database, inventoryFile(records, new Date()), new Date());
  // The first to be seen as down is not given up before the fifth is.
  const patient: Endings = [];
  endings.push(() => endAll(patient));
  await atWork(patient, database, { ...hasty, graceSeconds: { ...hasty.graceSeconds, machine: 3_600 } });
  const machines = async (value: string): Promise<number> => {
    const rows = await database
      .selectFrom("layer_interval")
      .select("id")
      .where("layer", "=", "machine")
      .where("value", "=", value)
      .where("to_at", "is", null)
      .execute();
    return rows.length;
  };
  await until("six nodes that run", 30_000, async () => ((await machines("up")) === 6 ? true : undefined));

  const ended = nodes.slice(0, 5).map(({ key }) => key);
  for (const key of ended) {
    releases.get(key)?.();
    releases.delete(key);
  }
  const brake = await until("the brake", 120_000, () =>
    database.selectFrom("recovery_brake").selectAll().executeTakeFirst(),
  );
  expect(brake).toMatchObject({ cause: "fleet", released_at: null });
  expect(brake.reason).toBe("5 of 6 nodes that should run are in trouble at one time.");
  await until("all five to wait for it", 60_000, async () => {
    const open = await openTroubles(database);
    return open.length === 5 && open.every(({ standing }) => standing.startsWith("The brake is set"))
      ? true
      : undefined;
  });
  expect(await actionsOf(database)).toEqual([]);

  // The brake outlives the collector that set it.
  await endAll(patient);
  await atWork(endings, database, hasty);
  for (const key of ended.slice(0, 3)) {
    const node = nodes.find((one) => one.key === key);
    if (node !== undefined) releases.set(key, node.live());
  }
  const proposed = await until("proposals for the two that are left", 60_000, async () => {
    const all = await actionsOf(database);
    return all.length >= 2 ? all : undefined;
  });
  expect(proposed.map(({ key, rung }) => [key, rung]).toSorted()).toEqual([
    ["home/3", "rebuild"],
    ["home/4", "rebuild"],
  ]);
  expect(proposed.find(({ key }) => key === "home/4")?.detail).toMatch(
    /^Add 4 to gradientlab:fleet\.groups\.home\.retired: home\/4 is deleted/,
  );
  expect(await database.selectFrom("recovery_brake").select("released_by").execute()).toEqual([
    { released_by: "fleet" },
  ]);
}, 300_000);

it.concurrent("an action whose collector was killed while it was sent is sent again under its id, and the node does it once", async (context) => {
  const endings = endingsOf(context);
  const { directory, spec } = await newNode(endings, plainSpec(failing, { workload: "sentry" }));
  // The agent's own program, behind a gate that only repairs have to pass.
  const log = join(directory, "asked.log");
  const gate = join(directory, "gate");
  const program = join(directory, "bin", "agent");
  await rename(program, `${program}-itself`);
  await writeFile(
    program,
    `#!/bin/sh\nif [ "$1" = recover ]; then echo "$4" >> '${log}'; while [ ! -e '${gate}' ]; do sleep 0.1; done; fi\nexec '${program}-itself' "$@"\n`,
  );
  await chmod(program, 0o700);
  const folder = await temporaryFolder();
  endings.push(folder.remove);
  const url = await server.freshUrl();
  const inventory = join(folder.path, "inventory.json");
  await writeInventory(inventory, [nodeRecord("home/0", spec.machineId, directory, { network: null })]);
  const file = join(folder.path, "recovery.json");
  await writeFile(file, JSON.stringify({ schema: 1, graceSeconds: hasty.graceSeconds }));
  const start = (name: string) =>
    startCollectorProcess({
      DATABASE_URL: url,
      DATA_DIR: join(folder.path, name),
      INVENTORY: inventory,
      RECOVERY: file,
      PULL_SECONDS: "1",
    });
  const asked = (): string[] => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []);

  const first = await start("first");
  endings.push(() => first.end("SIGKILL"));
  await until("the verb under way", 60_000, () => (asked().length > 0 ? true : undefined));
  await first.end("SIGKILL");
  const second = await start("second");
  endings.push(() => second.end("SIGTERM"));
  const database = await server.open(url);
  const [action] = await actionsOf(database);
  expect(action).toMatchObject({ rung: "runtime", outcome: null, attempts: 1, maybe_sent: true });
  // The dead collector's claim; it would run out by itself in two and a half minutes.
  await sql`update recovery_action set lease_until = clock_timestamp()`.execute(database);
  await until("the verb again", 60_000, () => (asked().length > 1 ? true : undefined));
  await writeFile(gate, "");
  const done = await until("its outcome", 60_000, async () =>
    (await actionsOf(database)).find(({ outcome }) => outcome !== null),
  );
  expect(done).toMatchObject({ rung: "runtime", outcome: "done", attempts: 2 });
  expect(asked()).toEqual([done.action_id, done.action_id]);
  // The node writes its events after what they tell of.
  const told = await until("the node's own word", 30_000, async () => {
    const lines = await recoveriesIn(directory);
    return lines.length > 0 ? lines : undefined;
  });
  expect(told).toEqual(["runtime done"]);
  expect(await actionsOf(database)).toHaveLength(1);
}, 180_000);
