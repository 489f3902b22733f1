import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { type Database, openDatabase } from "../../collector/store/database.ts";
import { startEmbedded } from "../../collector/store/embedded.ts";
import { acceptInventory } from "../../collector/store/inventory.ts";
import type { JournalPart } from "../../collector/store/journals.ts";
import { storeJournalPart } from "../../collector/store/journals.ts";
import { inventoryFile, nodeRecord } from "../collector/inventory.ts";
import { nodeLife, randomFrom } from "../harness/node-life.ts";
import { type BenchContext, type Figure, figure, median, timed } from "./figure.ts";

const batchLines = 20_000;
const nodes = 20;
const fullBatches = 50;
// About what one answer of an agent holds.
const linesPerPart = batchLines / nodes;
// As the collector pulls: several nodes at a time.
const atOnce = 4;
const from = Date.UTC(2027, 0, 1);
const now = new Date(Date.UTC(2028, 0, 1));
const rules = { runtimeUnit: "browser", appUnit: null, heartbeatStaleSeconds: 120 };

/**
 * Samples a second into the full schema, in batches of 20,000 from 20 nodes: lines, chains, hours, days, layers, gaps and
 * what is remembered of each node. The floor is COPY, from a file that the server reads itself, of the same rows into the
 * same partitioned table of another database with its keys, checks and indexes; COPY into a bare table is beside it.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  const batches = Math.max(2, Math.round(fullBatches * scale ** 2));
  const folder = await mkdtemp(join(tmpdir(), "gl-bench-"));
  // The server, which may be another account's, writes and reads files there.
  await chmod(folder, 0o777);
  const server = await startEmbedded(join(folder, "postgres"), () => undefined);
  const open: { end(): Promise<unknown> }[] = [];
  try {
    const made = new pg.Client({ connectionString: server.url("postgres") });
    await made.connect();
    open.push(made);
    await made.query("create database stored");
    await made.query("create database copied");
    const stored = await openDatabase(server.url("stored"), () => undefined);
    open.push({ end: () => stored.destroy() });
    const copied = await openDatabase(server.url("copied"), () => undefined);
    open.push({ end: () => copied.destroy() });
    const [source, floor] = [server.url("stored"), server.url("copied")].map(
      (url) => new pg.Client({ connectionString: url }),
    );
    if (source === undefined || floor === undefined) throw new Error("there are two databases");
    for (const client of [source, floor]) {
      await client.connect();
      open.push(client);
      await client.query("set timezone = 'UTC'");
    }
    const lives = Array.from({ length: nodes }, (_, index) =>
      nodeLife({ journal: journalOf(index), from, everySeconds: 300, random: randomFrom(index + 1) }),
    );
    const ids = await enrol(stored);
    await enrol(copied);
    await floor.query("create table bare (like sample)");

    const times: { stored: number; copied: number; bare: number }[] = [];
    // The first batch makes partitions and journals and fills caches; it is not measured.
    for (let batch = 0; batch <= batches; batch++) {
      say(`batch ${batch} of ${batches}`);
      const parts = lives.map((life, index): JournalPart => {
        const items = Array.from({ length: linesPerPart }, () => life.next().value ?? never());
        const header = { journal: journalOf(index), first: 1, last: items.at(-1)?.n ?? 0, now: now.toISOString() };
        return { nodeId: ids[index] ?? never(), machineId: `m${index}`, header, items };
      });
      const storing = await timed(() =>
        Promise.all(
          Array.from({ length: atOnce }, async (_, turn) => {
            for (let index = turn; index < parts.length; index += atOnce) {
              await storeJournalPart(stored, parts[index] ?? never(), rules, now);
            }
          }),
        ),
      );
      const file = join(folder, "batch");
      const { rowCount } = await source.query(
        `copy (select * from sample where n > ${batch * linesPerPart} and n <= ${(batch + 1) * linesPerPart}) to '${file}'`,
      );
      if (rowCount !== batchLines) throw new Error(`${rowCount} lines of a batch of ${batchLines} were stored`);
      if (batch === 0) await likeSource(source, floor);
      const copying = await timed(() => floor.query(`copy sample from '${file}'`));
      const bare = await timed(() => floor.query(`copy bare from '${file}'`));
      if (batch > 0) times.push({ stored: storing, copied: copying, bare });
    }
    const perSecond = (ms: readonly number[]): number => (batchLines / median(ms)) * 1000;
    const of = (name: keyof (typeof times)[number]): number => perSecond(times.map((one) => one[name]));
    const n = batches * batchLines;
    yield figure("ingest", "samples stored", {
      value: of("stored"),
      unit: "samples/s",
      floor: of("copied"),
      n,
      target: "ratio >= 0.35",
    });
    yield figure("ingest", "samples stored against bare COPY", {
      value: of("stored"),
      unit: "samples/s",
      floor: of("bare"),
      n,
    });
  } finally {
    for (const one of open.reverse()) await one.end();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function journalOf(index: number): string {
  return `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`;
}

/** Makes the nodes known. Returns the number of each. */
async function enrol(database: Database): Promise<readonly number[]> {
  const records = Array.from({ length: nodes }, (_, index) => nodeRecord(`bench/${index}`, `m${index}`, "/nowhere"));
  await acceptInventory(database, inventoryFile(records, new Date(from)), new Date(from));
  const ids = await database.selectFrom("node").select(["id", "slot"]).orderBy("slot").execute();
  return ids.map(({ id }) => id);
}

/** Gives the floor's database the journals and partitions that the rows to come need. */
async function likeSource(source: pg.Client, floor: pg.Client): Promise<void> {
  const journals = await source.query(
    "select id, uuid, incarnation_id, cursor, first_seen_at, chain from journal order by id",
  );
  for (const { id, uuid, incarnation_id, cursor, first_seen_at, chain } of journals.rows) {
    await floor.query(
      `insert into journal (id, uuid, incarnation_id, cursor, first_seen_at, chain) overriding system value values ($1, $2, $3, $4, $5, $6)`,
      [id, uuid, incarnation_id, cursor, first_seen_at, chain],
    );
  }
  await floor.query(
    "select make_partitions(array(select (date '2027-01-01' + interval '1 month' * month)::date from generate_series(0, 23) month))",
  );
}

function never(): never {
  throw new Error("a life has no end");
}
