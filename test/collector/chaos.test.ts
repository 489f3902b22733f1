import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { openDatabase } from "../../collector/store/database.ts";
import { startEmbedded } from "../../collector/store/embedded.ts";
import { verifyEvidence } from "../../collector/store/verify.ts";
import { endNetwork, eventually, practiceFolder, startNetwork } from "../practice/network-process.ts";
import { type CollectorProcess, startCollectorProcess } from "./collector-process.ts";
import { enrolledNode } from "./enrolled-node.ts";
import { nodeRecord, writeInventory } from "./inventory.ts";
import { agentFolder, nodeFolder } from "./node-folder.ts";

const kills = Number(process.env.CHAOS_KILLS ?? 20);
/** How many kills of a collector come between two crashes of the database. */
const killsPerCrash = 8;
const up = { runtime: { state: "up", restarts: 0, pss_bytes: 1000 }, app: { state: "up" } } as const;
const endings: (() => Promise<unknown>)[] = [];

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
  const agent = await agentFolder();
  if (agent !== undefined) await rm(agent, { recursive: true, force: true });
});

it(
  "loses and doubles nothing while two collectors are killed at any moment and the database crashes",
  async () => {
    const home = await mkdtemp(join(tmpdir(), "chaos-"));
    endings.push(() => rm(home, { recursive: true, force: true }));
    const server = await startEmbedded(join(home, "server"), () => undefined);
    endings.push(() => server.stop());
    const databaseUrl = server.url("postgres");
    const practice = await practiceFolder();
    endings.push(() => rm(practice, { recursive: true, force: true }));
    const network = await startNetwork(practice);
    endings.push(() => endNetwork(network, "SIGKILL"));

    const nodes = [await nodeFolder(join(home, "nodes"), "home/0"), await nodeFolder(join(home, "nodes"), "home/1")];
    const networkNodeId = await enrolledNode(network);
    for (const node of nodes) {
      const release = node.live();
      endings.push(async () => release());
      node.append(
        node.key === "home/0" ? { ...up, app: { ...up.app, looked: true, network_node_id: networkNodeId } } : up,
      );
    }
    const inventory = join(home, "inventory.json");
    await writeInventory(
      inventory,
      nodes.map(({ key, machineId, directory }) => nodeRecord(key, machineId, directory)),
    );
    const { origin, account } = network.info;
    const contents = { schema: 1, network: "practice", account: "main", origin, label: "practice", ...account };
    await mkdir(join(home, "networks"));
    await writeFile(join(home, "networks", "practice.json"), JSON.stringify(contents), { mode: 0o600 });

    const seed = Number(process.env.SEED ?? Date.now() % 100_000);
    process.stdout.write(`SEED=${seed}\n`);
    let state = seed;
    const random = (): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return state / 2 ** 31;
    };
    const collectors: (CollectorProcess | undefined)[] = [undefined, undefined];
    endings.push(() => Promise.all(collectors.map((collector) => collector?.end("SIGKILL"))));
    const startBoth = (): Promise<unknown> =>
      Promise.all(
        collectors.map(async (collector, index) => {
          if (collector !== undefined && collector.process.exitCode === null && collector.process.signalCode === null)
            return;
          collectors[index] = await startCollectorProcess({
            DATABASE_URL: databaseUrl,
            DATA_DIR: join(home, `data-${index}`),
            INVENTORY: inventory,
            NETWORKS: join(home, "networks"),
            PULL_SECONDS: "1",
            READ_CRON: "* * * * * *",
          });
        }),
      );

    for (let kill = 1; kill <= kills; kill++) {
      await startBoth();
      const writing = setInterval(() => {
        for (const node of nodes) node.append(up);
      }, 25);
      await delay(random() * 800);
      clearInterval(writing);
      if (kill % killsPerCrash === 0) await crashDatabase(databaseUrl);
      else await collectors[random() < 0.5 ? 0 : 1]?.end("SIGKILL");
      for (const node of nodes) node.append({ kind: "event", event: { name: "written-meanwhile" } });
    }
    await startBoth();

    const database = await openDatabase(databaseUrl, () => undefined);
    endings.push(() => database.destroy());
    for (const node of nodes) {
      const written = node.numbers();
      const stored = await eventually(
        `all lines of ${node.key}`,
        async () => {
          const rows = await database
            .selectFrom("sample")
            .innerJoin("node", "node.id", "sample.node_id")
            .select("n")
            .where("node.key", "=", node.key)
            .orderBy("n")
            .execute();
          return rows.length >= written.length ? rows.map(({ n }) => Number(n)) : undefined;
        },
        60,
      );
      expect(stored).toEqual(written);
    }
    const before = await database
      .selectFrom("reading")
      .select(({ fn }) => fn.max<string>("id").as("id"))
      .executeTakeFirstOrThrow();
    await eventually(
      "a reading after all that",
      async () =>
        await database
          .selectFrom("reading")
          .select("id")
          .where("id", ">", before.id)
          .where("outcome", "=", "ok")
          .limit(1)
          .executeTakeFirst(),
      60,
    );
    // What a killed collector was at is tried again when its lease ends; a lease lasts half a minute.
    const lived = new Date();
    await eventually(
      "an end of every run until now",
      async () => {
        const open = await database
          .selectFrom("run")
          .select("due")
          .where("due", "<=", lived)
          .where("outcome", "is", null)
          .limit(1)
          .executeTakeFirst();
        return open === undefined || undefined;
      },
      90,
    );
    for (const collector of collectors) expect((await collector?.end("SIGTERM"))?.code).toBe(0);

    expect((await verifyEvidence(database, () => undefined)).faults).toEqual([]);
    expect(
      await database.selectFrom("gap").select(["kind", "reason"]).where("node_id", "is not", null).execute(),
    ).toEqual([]);
    const { rows: ledger } = await sql<Record<string, unknown>>`
      select job, count(*) = extract(epoch from max(due) - min(due)) + 1 as whole, count(*) > ${kills} as many,
        count(*) filter (where outcome is null and due <= ${lived}) = 0 as ended,
        count(*) filter (where outcome in ('missed', 'failed') and reason is null) as unexplained,
        count(*) filter (where outcome = 'ok') > 0 as ran
      from run where job = 'practice/main/nodes' group by job`.execute(database);
    expect(ledger).toEqual([
      { job: "practice/main/nodes", whole: true, many: true, ended: true, unexplained: "0", ran: true },
    ]);
    const { rows: readings } = await sql<Record<string, unknown>>`
      select count(*) filter (where outcome = 'ok' and source like 'sentrynode/list%'
          and not exists (select from fact where fact.reading_id = reading.id)) as silent,
        count(*) filter (where outcome <> 'ok' and reason is null) as unexplained,
        count(*) filter (where outcome <> 'ok' and exists (select from fact where fact.reading_id = reading.id)) as guessed
      from reading`.execute(database);
    expect(readings).toEqual([{ silent: "0", unexplained: "0", guessed: "0" }]);
  },
  150_000 + kills * 15_000,
);

/** Kills one of the server's own processes: PostgreSQL then ends every session and recovers from its log. */
async function crashDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const ended = new Promise((resolve) => client.once("end", resolve));
  process.kill(rows[0]?.pid ?? 0, "SIGKILL");
  await ended;
  await eventually("the database's return", async () => {
    const again = new pg.Client({ connectionString: url });
    again.on("error", () => undefined);
    try {
      await again.connect();
      await again.query("select 1");
      return true;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return undefined;
    } finally {
      await again.end();
    }
  });
}
