import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type pg from "pg";
import type { LineRules } from "../../collector/states/lines.ts";
import { type Rollup, rollupMs } from "../../collector/states/rollups.ts";
import { journalBeginning } from "../../collector/store/links.ts";
import { packVersion } from "../../collector/store/pack.ts";
import { columnsOf } from "../../collector/store/rollups.ts";
import type { LayerStretch, LifeAsked, LivedPack, LivedPart, LivesOrder } from "./history-life.ts";

/** A node of the benchmark; nodes of one life have the same noise, and the same bytes in the packs of their past. */
export interface PastNode {
  readonly id: number;
  readonly slot: number;
  readonly journal: string;
  readonly life: number;
}

/** The lives of a fleet. */
export interface Past {
  /**
   * Puts all that the nodes tell until each of `untils`, UTC midnights, into the database, as closed days that are packed;
   * `put` is called when one is reached. The stretch that follows is lived meanwhile.
   */
  pack(untils: readonly number[], put: (until: number) => Promise<void>): Promise<void>;
  /** Goes on until `until`, and yields the lines of each node as it writes them, node by node. */
  lines(until: number): AsyncGenerator<{ readonly node: PastNode; readonly lines: readonly string[] }>;
  close(): Promise<void>;
}

const workersAtMost = 2;
const lateMs = 2 * rollupMs.hour;

/**
 * Returns the past of these nodes, which begins at `from`. The rows that a collector would have are put into the database
 * of `owner` by the shortest way: packs, chains, hours, days, layers, gaps and events are made by the product's own
 * functions, in threads of their own, and inserted day by day, the nodes of a day together, as packing leaves them.
 */
export async function openPast(
  owner: pg.Client,
  nodes: readonly PastNode[],
  order: { readonly from: number; readonly everySeconds: number; readonly rules: LineRules },
): Promise<Past> {
  const byLife = new Map<number, PastNode[]>();
  for (const node of nodes) byLife.set(node.life, [...(byLife.get(node.life) ?? []), node]);
  const lives = [...byLife].map(([life, own]) => ({ life, journals: own.map(({ journal }) => journal) }));
  const workers = Array.from({ length: Math.min(workersAtMost, lives.length) }, (_, index) => {
    const own = lives.filter((_life, place) => place % workersAtMost === index);
    const workerData: LivesOrder = { ...order, lateMs, lives: own };
    const worker = new Worker(new URL("./history-life.ts", import.meta.url), { workerData });
    return { lives: own.map(({ life }) => life), worker };
  });
  const ask = async (worker: Worker, asked: LifeAsked): Promise<LivedPart> => {
    worker.postMessage(asked);
    const [part] = (await once(worker, "message")) as [LivedPart];
    return part;
  };
  const live = async (until: number): Promise<LivedPart[]> => {
    const parts = await Promise.all(
      workers.map(async ({ worker, lives: own }) => {
        const found: LivedPart[] = [];
        for (const life of own) found.push(await ask(worker, { life, until, as: "packs" }));
        return found;
      }),
    );
    return parts.flat();
  };
  const journalIds = await openJournals(owner, nodes, order.from);
  await owner.query("set synchronous_commit = off");
  const told = new Set<number>();
  const put = async (parts: readonly LivedPart[], before: number): Promise<void> => {
    await owner.query("begin");
    // Every row names a node and a journal that are there: to look for them takes half of the time.
    await owner.query("set local session_replication_role = replica");
    await putPacks(owner, parts, byLife, journalIds);
    await putRollups(
      owner,
      "node_hour",
      parts.map(({ life, hours }) => ({ life, rollups: hours })),
      nodes,
    );
    await putRollups(
      owner,
      "node_day",
      parts.map(({ life, days }) => ({ life, rollups: days })),
      nodes,
    );
    await owner.query(
      "delete from layer_interval where layer in ('machine', 'runtime', 'app') and (to_at is null or to_at > $1)",
      [new Date(before - lateMs)],
    );
    const stretches = parts.flatMap(({ life, ended, open }) => [...ended, ...open].map((one) => ({ ...one, life })));
    await putStretches(owner, stretches, byLife);
    await putRest(owner, parts, byLife, told);
    for (const { life, identity } of parts) if (identity !== null) told.add(life);
    await owner.query("commit");
  };
  return {
    async pack(untils, reached) {
      const [first] = untils;
      let parts = first === undefined ? null : live(first);
      for (const [index, until] of untils.entries()) {
        const lived = await parts;
        const following = untils[index + 1];
        parts = following === undefined ? null : live(following);
        await put(lived ?? [], untils[index - 1] ?? order.from);
        await reached(until);
      }
    },
    async *lines(until) {
      for (const { worker, lives: own } of workers) {
        for (const life of own) {
          const part = await ask(worker, { life, until, as: "lines" });
          for (const [index, node] of (byLife.get(life) ?? []).entries())
            yield { node, lines: part.lines[index] ?? [] };
        }
      }
    },
    async close() {
      await Promise.all(workers.map(({ worker }) => worker.terminate()));
    },
  };
}

/** Returns the number of each node's journal. */
async function openJournals(
  owner: pg.Client,
  nodes: readonly PastNode[],
  from: number,
): Promise<ReadonlyMap<string, number>> {
  const { rows } = await owner.query<{ id: number; uuid: string }>(
    `insert into journal (uuid, incarnation_id, cursor, first_seen_at, chain)
     select uuid, incarnation.id, 0, $4, chain
     from unnest($1::uuid[], $2::integer[], $3::bytea[]) as new (uuid, node, chain)
     join incarnation on incarnation.node_id = new.node order by incarnation.id returning id, uuid`,
    [
      nodes.map(({ journal }) => journal),
      nodes.map(({ id }) => id),
      nodes.map(({ journal }) => journalBeginning(journal)),
      new Date(from),
    ],
  );
  return new Map(rows.map(({ id, uuid }) => [uuid, id]));
}

async function putPacks(
  owner: pg.Client,
  parts: readonly LivedPart[],
  byLife: ReadonlyMap<number, readonly PastNode[]>,
  journalIds: ReadonlyMap<string, number>,
): Promise<void> {
  const all = parts.flatMap(({ life, packs }) =>
    (byLife.get(life) ?? []).map((node) => ({ node, journal: journalIds.get(node.journal) ?? 0, packs })),
  );
  const days = all[0]?.packs.length ?? 0;
  for (let day = 0; day < days; day++) {
    const rows = all.map(({ node, journal, packs }) => ({ node, journal, pack: packs[day] as LivedPack }));
    const numbers = (of: (row: (typeof rows)[number]) => number): number[] => rows.map(of);
    const blob = Buffer.concat(rows.flatMap(({ pack }) => [pack.sampleLines, pack.eventLines, pack.chain]));
    let offset = 1;
    const offsets = rows.map(({ pack }) => {
      const own = offset;
      offset += pack.sampleLines.length + pack.eventLines.length + pack.chain.length;
      return own;
    });
    await owner.query(
      `insert into line_pack (journal_id, first_n, last_n, node_id, day, from_at, to_at, samples, events, version,
         sample_lines, event_lines, chain)
       select journal, first, last, node, $6::date, to_timestamp(from_ms / 1000), to_timestamp(to_ms / 1000), samples, events,
         ${packVersion}, case when sample_bytes > 0 then substr($1::bytea, place, sample_bytes) end,
         case when event_bytes > 0 then substr($1::bytea, place + sample_bytes, event_bytes) end,
         substr($1::bytea, place + sample_bytes + event_bytes, 32)
       from unnest($2::integer[], $3::bigint[], $4::bigint[], $5::integer[], $7::float8[], $8::float8[], $9::integer[],
         $10::integer[], $11::integer[], $12::integer[], $13::integer[])
         as new (journal, first, last, node, from_ms, to_ms, samples, events, place, sample_bytes, event_bytes)`,
      [
        blob,
        numbers(({ journal }) => journal),
        numbers(({ pack }) => pack.first),
        numbers(({ pack }) => pack.last),
        numbers(({ node }) => node.id),
        new Date(rows[0]?.pack.day ?? 0).toISOString().slice(0, 10),
        numbers(({ pack }) => pack.fromAt),
        numbers(({ pack }) => pack.toAt),
        numbers(({ pack }) => pack.samples),
        numbers(({ pack }) => pack.events),
        offsets,
        numbers(({ pack }) => pack.sampleLines.length),
        numbers(({ pack }) => pack.eventLines.length),
      ],
    );
  }
  await owner.query(
    `update journal set cursor = last, packed_n = last, chain = decode(link, 'hex'), last_at = to_timestamp(ms / 1000)
     from unnest($1::integer[], $2::bigint[], $3::text[], $4::float8[]) as new (journal, last, link, ms) where id = journal`,
    [
      all.map(({ journal }) => journal),
      all.map(({ packs }) => packs.at(-1)?.last ?? 0),
      all.map(({ packs }) => Buffer.from(packs.at(-1)?.chain ?? []).toString("hex")),
      all.map(({ packs }) => packs.at(-1)?.toAt ?? 0),
    ],
  );
}

const lifeOfNode = "unnest($2::integer[], $3::integer[], $4::uuid[], $5::uuid[]) as lived (life, node, journal, first)";

function lifeParameters(byLife: ReadonlyMap<number, readonly PastNode[]>): unknown[] {
  const nodes = [...byLife.values()].flat();
  return [
    nodes.map(({ life }) => life),
    nodes.map(({ id }) => id),
    nodes.map(({ journal }) => journal),
    nodes.map(({ life }) => byLife.get(life)?.[0]?.journal),
  ];
}

async function putRollups(
  owner: pg.Client,
  table: "node_hour" | "node_day",
  lives: readonly { readonly life: number; readonly rollups: readonly Rollup[] }[],
  nodes: readonly PastNode[],
): Promise<void> {
  const rows = lives.flatMap(({ life, rollups }) => rollups.map((one) => ({ node_id: life, ...columnsOf(one) })));
  const [first] = rows;
  if (first === undefined) return;
  const columns = Object.keys(first).filter((name) => name !== "node_id");
  await owner.query(
    `insert into ${table} (node_id, ${columns.join(", ")})
     select lived.node, ${columns.map((name) => `of_life.${name}`).join(", ")}
     from json_populate_recordset(null::${table}, $1) of_life
     join unnest($2::integer[], $3::integer[]) as lived (life, node) on lived.life = of_life.node_id
     order by of_life.at, lived.node`,
    [JSON.stringify(rows), nodes.map(({ life }) => life), nodes.map(({ id }) => id)],
  );
}

async function putStretches(
  owner: pg.Client,
  stretches: readonly (LayerStretch & { readonly life: number })[],
  byLife: ReadonlyMap<number, readonly PastNode[]>,
): Promise<void> {
  await owner.query(
    `insert into layer_interval (node_id, layer, value, class, reason, from_at, to_at, as_of, evidence)
     select lived.node, layer, value, class, reason, "from", "to", "asOf",
       replace(evidence::text, lived.first::text, lived.journal::text)::jsonb
     from json_to_recordset($1) as one (life integer, layer text, value text, class text, reason text, "from" timestamptz,
       "to" timestamptz, "asOf" timestamptz, evidence jsonb)
     join ${lifeOfNode} using (life) order by "from", lived.node`,
    [JSON.stringify(stretches), ...lifeParameters(byLife)],
  );
}

/** Gaps, events that are watched, the tie to the network, and what is remembered of each node. */
async function putRest(
  owner: pg.Client,
  parts: readonly LivedPart[],
  byLife: ReadonlyMap<number, readonly PastNode[]>,
  told: ReadonlySet<number>,
): Promise<void> {
  const of = (rows: readonly object[]): unknown[] => [JSON.stringify(rows), ...lifeParameters(byLife)];
  const renamed = (name: string): string => `replace(${name}::text, lived.first::text, lived.journal::text)`;
  await owner.query(
    `insert into gap (node_id, kind, from_at, to_at, reason)
     select lived.node, 'no-samples', "from", "to", 'The node took no sample.'
     from json_to_recordset($1) as one (life integer, "from" timestamptz, "to" timestamptz) join ${lifeOfNode} using (life)`,
    of(parts.flatMap(({ life, missing }) => missing.map((one) => ({ life, ...one })))),
  );
  await owner.query(
    `insert into node_event (node_id, at, seen_at, name, detail)
     select lived.node, at, at, name, jsonb_build_object('journal', lived.journal, 'n', n)
     from json_to_recordset($1) as one (life integer, at timestamptz, name text, n bigint) join ${lifeOfNode} using (life)`,
    of(parts.flatMap(({ life, events }) => events.map((one) => ({ life, ...one })))),
  );
  await owner.query(
    `insert into network_node (node_id, incarnation_id, network, network_node_id, from_at, evidence)
     select lived.node, incarnation.id, node.network, ${renamed('"networkNodeId"')}, at,
       jsonb_build_object('kind', 'line', 'journal', lived.journal, 'n', n)
     from json_to_recordset($1) as one (life integer, "networkNodeId" text, at timestamptz, n bigint)
     join ${lifeOfNode} using (life) join incarnation on incarnation.node_id = lived.node join node on node.id = lived.node`,
    of(parts.flatMap(({ life, identity }) => (identity === null || told.has(life) ? [] : [{ life, ...identity }]))),
  );
  await owner.query(
    `update node_latest set memory = ${renamed("one.memory")}::jsonb, last_sample_at = at, restarts = one.restarts, pss_bytes = "pssBytes"
     from json_to_recordset($1) as one (life integer, memory jsonb, at timestamptz, restarts integer, "pssBytes" bigint)
     join ${lifeOfNode} using (life) where node_latest.node_id = lived.node`,
    of(parts.map(({ life, memory, latest }) => ({ life, memory, ...latest }))),
  );
}
