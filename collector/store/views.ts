import { sql } from "kysely";
import { type LayerName, layerNames } from "../api/types.ts";
import { nodeMetrics, referralMetrics } from "../networks/adapter.ts";
import type { Archives } from "./archive/archives.ts";
import type { Database } from "./database.ts";
import { archiveOf, comparePlaces, type LineFilter, type LineRow, packedRows } from "./packs.ts";
import { type RollupLength, rollupTables } from "./rollups.ts";

/** What the API and the page read. Lists are asked for one item more than a page holds, so that its end is known. */

/** Which nodes are asked for. `layers` are the values that layers have now, verbatim. */
export interface NodeFilter {
  readonly key?: string;
  readonly group?: string;
  readonly layers?: Readonly<Partial<Record<LayerName, string>>>;
  readonly after?: { readonly group: string; readonly slot: number };
  readonly limit: number;
}

/** Returns nodes in the order of group and slot, with the newest of what is known of each. */
export async function nodeRows(database: Database, filter: NodeFilter) {
  return (
    database
      // Which nodes they are comes first: what is known of others is not looked up.
      .selectFrom(nodesOf(database, filter).as("node"))
      .innerJoin("node_latest", "node_latest.node_id", "node.id")
      .leftJoinLateral(
        (from) =>
          from
            .selectFrom("network_node")
            .select(["network_node.network", "network_node.network_node_id"])
            .whereRef("network_node.node_id", "=", "node.id")
            .orderBy("network_node.id", "desc")
            .limit(1)
            .as("tie"),
        (join) => join.onTrue(),
      )
      .leftJoinLateral(
        (from) =>
          from
            .selectFrom("fact")
            .select(["fact.value", "fact.scale", "fact.unit", "fact.as_of", "fact.reading_id"])
            .whereRef("fact.network", "=", "tie.network")
            .whereRef("fact.network_node_id", "=", "tie.network_node_id")
            .where("fact.metric", "=", nodeMetrics.points)
            // What a newer parser found in an old answer is stored last and is not the newest.
            .orderBy("fact.as_of", "desc")
            .orderBy("fact.id", "desc")
            .limit(1)
            .as("points"),
        (join) => join.onTrue(),
      )
      .selectAll("node")
      .select([
        "node_latest.last_sample_at",
        "node_latest.restarts",
        "node_latest.pss_bytes",
        "tie.network_node_id",
        "points.value as points_value",
        "points.scale as points_scale",
        "points.unit as points_unit",
        "points.as_of as points_as_of",
        "points.reading_id as points_reading",
      ])
      .orderBy("node.node_group")
      .orderBy("node.slot")
      .execute()
  );
}

function nodesOf(database: Database, filter: NodeFilter) {
  let query = database
    .selectFrom("node")
    .selectAll()
    .orderBy("node.node_group")
    .orderBy("node.slot")
    .limit(filter.limit);
  if (filter.key !== undefined) query = query.where("node.key", "=", filter.key);
  if (filter.group !== undefined) query = query.where("node.node_group", "=", filter.group);
  const { after } = filter;
  if (after !== undefined) {
    query = query.where(({ eb, or, and }) =>
      or([
        eb("node.node_group", ">", after.group),
        and([eb("node.node_group", "=", after.group), eb("node.slot", ">", after.slot)]),
      ]),
    );
  }
  for (const [layer, value] of Object.entries(filter.layers ?? {}) as [LayerName, string][]) {
    query = query.where(({ exists, selectFrom }) =>
      exists(
        selectFrom("layer_interval")
          .select("layer_interval.id")
          .whereRef("layer_interval.node_id", "=", "node.id")
          .where("layer_interval.layer", "=", layer)
          .where("layer_interval.to_at", "is", null)
          .where("layer_interval.value", "=", value),
      ),
    );
  }
  return query;
}

/** Returns the layers of these nodes as they are now. */
export async function openLayers(database: Database, nodeIds: readonly number[]) {
  if (nodeIds.length === 0) return [];
  return database
    .selectFrom("layer_interval")
    .select(["node_id", "layer", "value", "class", "reason", "from_at", "as_of"])
    .where("node_id", "in", nodeIds)
    .where("to_at", "is", null)
    .execute();
}

/** Returns the node's number, or undefined where there never was one of that key. */
export async function nodeIdOf(database: Database, key: string): Promise<number | undefined> {
  const row = await database.selectFrom("node").select("id").where("key", "=", key).executeTakeFirst();
  return row?.id;
}

/**
 * Returns lines of a node in the order of their instants, packed, archived or neither. `line` is their text as the node
 * wrote it. @throws ArchiveUnreadable where one of them is in an archive that is not there.
 */
export async function sampleRows(
  database: Database,
  filter: LineFilter,
  archives: Archives | null = null,
): Promise<LineRow[]> {
  // One snapshot: a line that is packed meanwhile would be there twice.
  return database
    .transaction()
    .setIsolationLevel("repeatable read")
    .setAccessMode("read only")
    .execute(async (snapshot) => {
      const loose = await looseRows(snapshot, filter);
      // What lies behind a full page of rows is not looked for in packs.
      const end = loose.length < filter.limit ? undefined : loose.at(-1)?.at;
      const packed = await packedRows(snapshot, archives, filter, end);
      const sign = filter.order === "asc" ? 1 : -1;
      return [...loose, ...packed].toSorted((one, other) => sign * comparePlaces(one, other)).slice(0, filter.limit);
    });
}

async function looseRows(database: Database, filter: LineFilter): Promise<LineRow[]> {
  const { after, order } = filter;
  let query = database
    .selectFrom("sample")
    .innerJoin("journal", "journal.id", "sample.journal_id")
    .select(["journal.uuid", "sample.journal_id", "sample.n", "sample.at", "sample.kind", "sample.every_s"])
    .select(sql<string>`sample.line::text`.as("line"))
    .where("sample.node_id", "=", filter.nodeId)
    .orderBy("sample.at", order)
    .orderBy("sample.journal_id", order)
    .orderBy("sample.n", order)
    .limit(filter.limit);
  if (filter.kind !== undefined) query = query.where("sample.kind", "=", filter.kind);
  if (filter.from !== undefined) query = query.where("sample.at", ">=", filter.from);
  if (filter.to !== undefined) query = query.where("sample.at", "<", filter.to);
  if (after !== undefined) {
    const here = sql`(sample.at, sample.journal_id, sample.n)`;
    const there = sql`(${after.at}::timestamptz, ${after.journal}::integer, ${after.n}::bigint)`;
    query = query.where(order === "asc" ? sql<boolean>`${here} > ${there}` : sql<boolean>`${here} < ${there}`);
  }
  return query.execute();
}

/** Returns the hours or days of a node from `from` on and before `to`, oldest first. */
export async function rollupRows(
  database: Database,
  filter: {
    readonly nodeId: number;
    readonly every: RollupLength;
    readonly from?: Date;
    readonly to?: Date;
    readonly limit: number;
  },
) {
  let query = database
    .selectFrom(rollupTables[filter.every])
    .selectAll()
    .where("node_id", "=", filter.nodeId)
    .orderBy("at")
    .limit(filter.limit);
  if (filter.from !== undefined) query = query.where("at", ">=", filter.from);
  if (filter.to !== undefined) query = query.where("at", "<", filter.to);
  return query.execute();
}

/** Which stretches are asked for: those that reach into `[from, to)`. */
export interface StateFilter {
  readonly nodeId: number;
  readonly layer?: LayerName;
  readonly from?: Date;
  readonly to?: Date;
  readonly after?: { readonly from: Date; readonly id: string };
  readonly limit: number;
}

/** Returns stretches of a node's layers, the latest beginning first. */
export async function stateRows(database: Database, filter: StateFilter) {
  const { after, from, to } = filter;
  let query = database
    .selectFrom("layer_interval")
    .selectAll()
    .where("node_id", "=", filter.nodeId)
    .orderBy("from_at", "desc")
    .orderBy("id", "desc")
    .limit(filter.limit);
  if (filter.layer !== undefined) query = query.where("layer", "=", filter.layer);
  if (from !== undefined) {
    const under = await stretchesAt(database, filter.nodeId, from);
    query = query
      .where(({ eb, or }) => or([eb("from_at", ">=", from), ...(under.length === 0 ? [] : [eb("id", "in", under)])]))
      .where(({ eb, or }) => or([eb("to_at", "is", null), eb("to_at", ">", from)]));
  }
  if (to !== undefined) query = query.where("from_at", "<", to);
  if (after !== undefined) {
    query = query.where(sql<boolean>`(from_at, id) < (${after.from}::timestamptz, ${after.id}::bigint)`);
  }
  return query.execute();
}

/** Returns the stretch of each layer that began last before `from`: no older one reaches beyond it. */
async function stretchesAt(database: Database, nodeId: number, from: Date): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select last.id from unnest(${[...layerNames]}::text[]) as one (layer), lateral (
      select id from layer_interval where node_id = ${nodeId} and layer = one.layer and from_at < ${from}
      order by from_at desc limit 1
    ) last`.execute(database);
  return rows.map(({ id }) => id);
}

/** Which facts are asked for. `about` tells facts of nodes from those of accounts. */
export interface FactFilter {
  readonly network?: string;
  readonly account?: string;
  readonly nodeId?: number;
  readonly about?: "account" | "node";
  readonly metric?: string;
  readonly day?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly after?: string;
  readonly limit: number;
}

/**
 * Returns facts with the node that each belongs to, in the order of the instants of the answers that they come from, the
 * newest first; of one instant, what was stored last comes first.
 */
export async function factRows(database: Database, filter: FactFilter) {
  const { limit } = filter;
  const owners = await ownersOf(database, filter);
  if (owners === null) return factsOf(database, filter, {});
  // Each one's facts lie in order of time; those of several do not.
  const pages = await Promise.all(owners.map((owner) => factsOf(database, filter, owner)));
  return pages
    .flat()
    .toSorted(
      (one, other) => other.as_of.getTime() - one.as_of.getTime() || (BigInt(one.id) < BigInt(other.id) ? 1 : -1),
    )
    .slice(0, limit);
}

/** Whose facts: a name that a network knows a node by, or an account. */
interface FactOwner {
  readonly network?: string;
  readonly account?: string;
  readonly network_node_id?: string;
}

/** Returns the names of the node, or the accounts, that are asked for; null where facts of many are. */
async function ownersOf(database: Database, filter: FactFilter): Promise<readonly FactOwner[] | null> {
  const { nodeId, about, network, account } = filter;
  if (nodeId !== undefined)
    return database
      .selectFrom("network_node")
      .select(["network", "network_node_id"])
      .distinct()
      .where("node_id", "=", nodeId)
      .execute();
  if (about !== "account") return null;
  let query = database.selectFrom("account").select(["network", "account"]);
  if (network !== undefined) query = query.where("network", "=", network);
  if (account !== undefined) query = query.where("account", "=", account);
  return query.execute();
}

async function factsOf(database: Database, filter: FactFilter, owner: FactOwner) {
  let query = database
    .selectFrom("fact")
    .leftJoinLateral(
      (from) =>
        from
          .selectFrom("network_node")
          .innerJoin("node", "node.id", "network_node.node_id")
          .select("node.key")
          .whereRef("network_node.network", "=", "fact.network")
          .whereRef("network_node.network_node_id", "=", "fact.network_node_id")
          .orderBy("network_node.id", "desc")
          .limit(1)
          .as("tied"),
      (join) => join.onTrue(),
    )
    .selectAll("fact")
    .select("tied.key as node_key")
    .orderBy("fact.as_of", "desc")
    .orderBy("fact.id", "desc")
    .limit(filter.limit);
  const network = owner.network ?? filter.network;
  const account = owner.account ?? filter.account;
  if (network !== undefined) query = query.where("fact.network", "=", network);
  if (account !== undefined) query = query.where("fact.account", "=", account);
  if (owner.network_node_id !== undefined) query = query.where("fact.network_node_id", "=", owner.network_node_id);
  if (filter.about === "account") query = query.where("fact.network_node_id", "is", null);
  if (filter.about === "node") query = query.where("fact.network_node_id", "is not", null);
  if (filter.metric !== undefined) query = query.where("fact.metric", "=", filter.metric);
  if (filter.day !== undefined) query = query.where("fact.day", "=", filter.day);
  if (filter.from !== undefined) query = query.where("fact.as_of", ">=", filter.from);
  if (filter.to !== undefined) query = query.where("fact.as_of", "<", filter.to);
  const { after } = filter;
  if (after !== undefined) {
    query = query.where(
      sql<boolean>`(fact.as_of, fact.id) < ((select last.as_of from fact last where last.id = ${after}), ${after}::bigint)`,
    );
  }
  return query.execute();
}

/** Returns the newest referral counts of each account that has any, both from one reading. */
export async function referralRows(database: Database, after: readonly [string, string] | undefined, limit: number) {
  let query = database
    .selectFrom("account")
    .innerJoinLateral(
      (from) =>
        from
          .selectFrom("fact")
          .select(["fact.value", "fact.as_of", "fact.reading_id"])
          .whereRef("fact.network", "=", "account.network")
          .whereRef("fact.account", "=", "account.account")
          .where("fact.network_node_id", "is", null)
          .where("fact.metric", "=", referralMetrics.invitee)
          .orderBy("fact.as_of", "desc")
          .orderBy("fact.id", "desc")
          .limit(1)
          .as("invitee"),
      (join) => join.onTrue(),
    )
    .innerJoinLateral(
      (from) =>
        from
          .selectFrom("fact")
          .select("fact.value")
          .whereRef("fact.network", "=", "account.network")
          .whereRef("fact.account", "=", "account.account")
          .where("fact.network_node_id", "is", null)
          .where("fact.metric", "=", referralMetrics.pending)
          .whereRef("fact.as_of", "=", "invitee.as_of")
          .whereRef("fact.reading_id", "=", "invitee.reading_id")
          .orderBy("fact.id", "desc")
          .limit(1)
          .as("pending"),
      (join) => join.onTrue(),
    )
    .select([
      "account.network",
      "account.account",
      "account.practice",
      "invitee.value as invitee",
      "pending.value as pending",
      "invitee.as_of",
      "invitee.reading_id",
    ])
    .orderBy("account.network")
    .orderBy("account.account")
    .limit(limit);
  if (after !== undefined) {
    query = query.where(sql<boolean>`(account.network, account.account) > (${after[0]}, ${after[1]})`);
  }
  return query.execute();
}

/** Returns gaps, the newest first: of a node, or of all nodes and accounts. */
export async function gapRows(
  database: Database,
  filter: { readonly nodeId?: number; readonly after?: string; readonly limit: number },
) {
  let query = database
    .selectFrom("gap")
    .leftJoin("node", "node.id", "gap.node_id")
    .selectAll("gap")
    .select("node.key as node_key")
    .orderBy("gap.id", "desc")
    .limit(filter.limit);
  if (filter.nodeId !== undefined) query = query.where("gap.node_id", "=", filter.nodeId);
  if (filter.after !== undefined) query = query.where("gap.id", "<", filter.after);
  return query.execute();
}

/** Returns the lives of a node's machines, the newest first, and the journals of each. */
export async function incarnationRows(
  database: Database,
  filter: { readonly nodeId: number; readonly after?: number; readonly limit: number },
) {
  let query = database
    .selectFrom("incarnation")
    .selectAll()
    .where("node_id", "=", filter.nodeId)
    .orderBy("id", "desc")
    .limit(filter.limit);
  if (filter.after !== undefined) query = query.where("id", "<", filter.after);
  const incarnations = await query.execute();
  if (incarnations.length === 0) return [];
  const journals = await database
    .selectFrom("journal")
    .selectAll()
    .where(
      "incarnation_id",
      "in",
      incarnations.map(({ id }) => id),
    )
    .orderBy("id")
    .execute();
  return incarnations.map((incarnation) => ({
    ...incarnation,
    journals: journals.filter((journal) => journal.incarnation_id === incarnation.id),
  }));
}

/** Returns the newest workload name of a group, or undefined where there is no such group. */
export async function workloadOf(database: Database, group: string): Promise<string | undefined> {
  const row = await database
    .selectFrom("node")
    .select("workload")
    .where("node_group", "=", group)
    .orderBy(sql`gone_at is null`, "desc")
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row?.workload;
}

/** Returns a reading with its body, or undefined where there is none. @throws ArchiveUnreadable */
export async function readingRow(database: Database, id: string, archives: Archives) {
  const row = await database
    .selectFrom("reading")
    .innerJoin("reading_body", "reading_body.reading_id", "reading.id")
    .selectAll("reading")
    .leftJoin("archive", "archive.id", "reading_body.archive_id")
    .select(["reading_body.body", "reading_body.erased", "reading_body.archive_row"])
    .select(["archive.file", "archive.sha256 as file_sha256", "archive.bytes"])
    .where("reading.id", "=", id)
    .executeTakeFirst();
  if (row === undefined || row.file === null || row.archive_row === null) return row;
  const { file, file_sha256: sha256, bytes } = row;
  return { ...row, body: await archives.body(archiveOf({ file, sha256, bytes }), row.archive_row) };
}

/** Returns due times of jobs, the latest first. */
export async function runRows(
  database: Database,
  filter: {
    readonly job?: string;
    readonly outcome?: string;
    readonly from?: Date;
    readonly to?: Date;
    readonly after?: { readonly due: Date; readonly id: string };
    readonly limit: number;
  },
) {
  const { after } = filter;
  let query = database.selectFrom("run").selectAll().orderBy("due", "desc").orderBy("id", "desc").limit(filter.limit);
  if (filter.job !== undefined) query = query.where("job", "=", filter.job);
  if (filter.outcome !== undefined) query = query.where("outcome", "=", filter.outcome);
  if (filter.from !== undefined) query = query.where("due", ">=", filter.from);
  if (filter.to !== undefined) query = query.where("due", "<", filter.to);
  if (after !== undefined)
    query = query.where(sql<boolean>`(due, id) < (${after.due}::timestamptz, ${after.id}::bigint)`);
  return query.execute();
}
