import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, expect, it } from "vitest";
import { openDatabase } from "../../collector/store/database.ts";
import { verifyEvidence } from "../../collector/store/verify.ts";
import { endNetwork, eventually, practiceFolder, startNetwork } from "../practice/network-process.ts";
import { type CollectorProcess, startCollectorProcess } from "./collector-process.ts";
import { enrolledNode } from "./enrolled-node.ts";
import { nodeRecord, writeInventory } from "./inventory.ts";
import { agentFolder, nodeFolder } from "./node-folder.ts";

const endings: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of endings.toReversed()) await end();
  const agent = await agentFolder();
  if (agent !== undefined) await rm(agent, { recursive: true, force: true });
});

const up = { runtime: { state: "up", restarts: 0, pss_bytes: 1000 }, app: { state: "up" } } as const;

/** The disk is a file system in memory, in a mount namespace that outlives the collectors that enter it. */
it.runIf(process.getuid?.() === 0)(
  "loses nothing, and goes on by itself, when the disk of its database was full for a while",
  async () => {
    const home = await mkdtemp(join(tmpdir(), "full-disk-"));
    endings.push(() => rm(home, { recursive: true, force: true }));
    const data = join(home, "data");
    await mkdir(data);
    const mounted = 'mount -t tmpfs -o size=420m tmpfs "$0" && touch "$0"/mounted && exec sleep infinity';
    const holder = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", mounted, data]);
    endings.push(async () => holder.kill("SIGKILL"));
    const seen = `/proc/${holder.pid}/root${data}`;
    await eventually("the small disk", () => (existsSync(join(seen, "mounted")) ? true : undefined));

    const practice = await practiceFolder();
    endings.push(() => rm(practice, { recursive: true, force: true }));
    const network = await startNetwork(practice);
    endings.push(() => endNetwork(network, "SIGKILL"));
    const node = await nodeFolder(join(home, "nodes"), "home/0");
    const release = node.live();
    endings.push(async () => release());
    node.append({ ...up, app: { ...up.app, looked: true, network_node_id: await enrolledNode(network) } });
    await writeInventory(join(home, "inventory.json"), [nodeRecord(node.key, node.machineId, node.directory)]);
    const { origin, account } = network.info;
    const contents = { schema: 1, network: "practice", account: "main", origin, label: "practice", ...account };
    await mkdir(join(home, "networks"));
    await writeFile(join(home, "networks", "practice.json"), JSON.stringify(contents), { mode: 0o600 });

    let collector: CollectorProcess | undefined;
    endings.push(async () => collector?.end("SIGKILL"));
    /** Starts it again where it has ended, as a service manager does. */
    const keepRunning = async (): Promise<void> => {
      if (collector !== undefined && collector.process.exitCode === null && collector.process.signalCode === null)
        return;
      const environment = {
        DATA_DIR: data,
        INVENTORY: join(home, "inventory.json"),
        NETWORKS: join(home, "networks"),
        PULL_SECONDS: "1",
        READ_CRON: "* * * * * *",
      };
      collector = await startCollectorProcess(environment, ["nsenter", `--mount=/proc/${holder.pid}/ns/mnt`, "--"]);
    };
    const stored = async (): Promise<number> => {
      const answer = await fetch(`${collector?.url}/api/v1/nodes/home/0/samples?limit=1`);
      const { items } = (await answer.json()) as { items?: { n: number }[] };
      return items?.[0]?.n ?? 0;
    };
    await keepRunning();
    await eventually("the first lines", async () => ((await stored()) >= 2 ? true : undefined), 60);

    const ballast = join(seen, "ballast");
    const fill = async (): Promise<void> => {
      const { bavail, bsize } = await statfs(seen);
      // Others take of the same room meanwhile.
      await appendFile(ballast, Buffer.alloc(bavail * bsize)).catch((error: NodeJS.ErrnoException) =>
        expect(error.code).toBe("ENOSPC"),
      );
    };
    const full = async (what: string, sign: () => boolean): Promise<void> => {
      await eventually(
        what,
        async () => {
          await fill();
          for (let n = 0; n < 20; n++) node.append({ ...up, event: { name: "mark", text: "x".repeat(2_000) } });
          return sign() ? true : undefined;
        },
        240,
      );
    };
    await full("lines that are not stored", () =>
      /not pulled: .*No space left on device/.test(collector?.output() ?? ""),
    );
    await rm(ballast);
    const all = async (): Promise<true | undefined> => ((await stored()) === node.numbers().at(-1) ? true : undefined);
    await eventually("every line, of a collector that went on", all, 240);
    expect(collector?.process.exitCode).toBeNull();

    // The log of the database needs room for itself: without it the server ends every session, or itself.
    await fill();
    const client = new pg.Client({ connectionString: await databaseUrl(seen) });
    let lost = false;
    client.on("error", () => {
      lost = true;
    });
    await client.connect();
    const emptied = async (): Promise<void> => {
      for (let n = 0; n < 200; n++) {
        await fill();
        await client.query("select pg_logical_emit_message(false, 'full', repeat('x', 3000000))");
      }
    };
    await expect(emptied()).rejects.toThrow();
    await eventually("the end of the session", () => (lost ? true : undefined));
    await full("a collector that says so", () =>
      /session was lost|ended|No space left/.test(collector?.output() ?? ""),
    );
    await rm(ballast);
    await eventually(
      "every line, after the database's end",
      async () => {
        await keepRunning();
        return all();
      },
      120,
    );

    const database = await openDatabase(await databaseUrl(seen), () => undefined);
    endings.push(() => database.destroy());
    expect((await verifyEvidence(database, () => undefined)).faults).toEqual([]);
    const lines = await database.selectFrom("sample").select("n").orderBy("n").execute();
    expect(lines.map(({ n }) => Number(n))).toEqual(node.numbers());
    const runs = async (): Promise<{ whole: boolean; open: number } | undefined> => {
      const { rows } = await sql<{ whole: boolean; open: number }>`
        select count(*) = extract(epoch from max(due) - min(due)) + 1 as whole,
          (count(*) filter (where outcome is null))::int as open
        from run where job = 'practice/main/nodes'`.execute(database);
      return rows[0];
    };
    // What was under way when the database ended is ended when its lease has run out.
    await eventually("the end of all runs but one", async () => ((await runs())?.open ?? 2) <= 1 || undefined, 120);
    expect((await runs())?.whole).toBe(true);
  },
  900_000,
);

/** The embedded server's address, as its own files tell it to whoever may read them. */
async function databaseUrl(data: string): Promise<string> {
  const folder = join(data, "postgres");
  const password = (await readFile(join(folder, "password"), "utf8")).trim();
  const [, , , port] = (await readFile(join(folder, "cluster", "data", "postmaster.pid"), "utf8")).split("\n");
  return `postgresql://gradientlab:${password}@127.0.0.1:${port}/postgres`;
}
