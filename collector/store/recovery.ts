import { randomUUID } from "node:crypto";
import { sql } from "kysely";
import type { Reach } from "../../infra/inventory.ts";
import {
  actionLifeMs,
  type Decision,
  type DueAction,
  type Episode,
  type EpisodeChange,
  historyMs,
  type RecoveryPicture,
} from "../recovery/ladder.ts";
import { proposalFor } from "../recovery/proposal.ts";
import type { Outcome, RecoverLayer, TroubleKind } from "../recovery/rungs.ts";
import type { LayersNow } from "../recovery/trouble.ts";
import type { Evidence } from "../states/timeline.ts";
import { appendChanges, type Change } from "./changes.ts";
import { type Database, type InTransaction, inTransactionAlone } from "./database.ts";

const recoveryLock = 7_232_005;

/**
 * Runs `work` in a transaction that no other collector decides in at the same time. Returns null where another one is at
 * it: then it decides.
 */
export function decideAlone<Result>(
  database: Database,
  work: (transaction: InTransaction) => Promise<Result>,
): Promise<Result | null> {
  return inTransactionAlone(database, recoveryLock, work);
}

/** Returns what recovery looks at, as it stands at `now`. */
export async function recoveryPicture(database: Database, watchedSince: Date, now: Date): Promise<RecoveryPicture> {
  const episodes = await openEpisodes(database);
  const nodes = await database
    .selectFrom("node")
    .select(["id", "key", "node_group", "machine_id", "power", "gone_at"])
    .where(({ eb, or }) =>
      // One that left in the middle of an episode counts too; no node has the number 0.
      or([eb("gone_at", "is", null), eb("id", "in", [0, ...episodes.keys()])]),
    )
    .orderBy("id")
    .execute();
  const layers = await layersNow(database);
  const accounts = await accountsOfNodes(database);
  const brake = await brakeNow(database);
  return {
    nodes: nodes.map((node) => ({
      id: node.id,
      key: node.key,
      group: node.node_group,
      machineId: node.machine_id,
      power: node.power,
      gone: node.gone_at !== null,
      account: accounts.get(node.id) ?? null,
      layers: layers.get(node.id) ?? {},
      episode: episodes.get(node.id) ?? null,
    })),
    actions: await recentActions(database, new Date(now.getTime() - historyMs)),
    brake: brake === null ? null : { cause: brake.cause },
    releasedAt: await lastRelease(database),
    watchedSince,
  };
}

async function openEpisodes(database: Database): Promise<Map<number, Episode>> {
  const rows = await database
    .selectFrom("recovery_episode")
    .select(["id", "node_id", "machine_id", "trouble", "trouble_since", "well_since", "standing"])
    .where("closed_at", "is", null)
    .execute();
  const actions = await database
    .selectFrom("recovery_action")
    .innerJoin("recovery_episode", "recovery_episode.id", "recovery_action.episode_id")
    .select(["episode_id", "rung", "decided_at", "ended_at", "recovery_action.outcome"])
    .where("recovery_episode.closed_at", "is", null)
    .orderBy("recovery_action.id")
    .execute();
  return new Map(
    rows.map((row) => [
      row.node_id,
      {
        id: row.id,
        machineId: row.machine_id,
        trouble: row.trouble,
        troubleSince: row.trouble_since,
        wellSince: row.well_since,
        standing: row.standing,
        actions: actions
          .filter(({ episode_id: episode }) => episode === row.id)
          .map((action) => ({
            rung: action.rung,
            decidedAt: action.decided_at,
            endedAt: action.ended_at,
            outcome: action.outcome,
          })),
      },
    ]),
  );
}

async function layersNow(database: Database): Promise<Map<number, LayersNow>> {
  const rows = await database
    .selectFrom("layer_interval")
    .select(["node_id", "layer", "value", "class", "reason", "from_at", "evidence"])
    .where("to_at", "is", null)
    .execute();
  const found = new Map<number, LayersNow>();
  for (const { node_id: node, layer, value, class: own, reason, from_at: since, evidence } of rows) {
    const now = { value, class: own, reason, since, evidence: evidence as unknown as Evidence };
    found.set(node, { ...found.get(node), [layer]: now });
  }
  return found;
}

/** The account of a node is the one whose newest fact tells of its network's id for it. */
async function accountsOfNodes(database: Database): Promise<Map<number, string>> {
  const rows = await database
    .selectFrom("network_node")
    .innerJoinLateral(
      (from) =>
        from
          .selectFrom("fact")
          .select("fact.account")
          .whereRef("fact.network", "=", "network_node.network")
          .whereRef("fact.network_node_id", "=", "network_node.network_node_id")
          .orderBy("fact.as_of", "desc")
          .orderBy("fact.id", "desc")
          .limit(1)
          .as("told"),
      (join) => join.onTrue(),
    )
    .select(["network_node.node_id", "network_node.network", "told.account"])
    .where("network_node.to_at", "is", null)
    .execute();
  return new Map(rows.map(({ node_id: node, network, account }) => [node, `${network}/${account}`]));
}

async function recentActions(database: Database, since: Date): Promise<RecoveryPicture["actions"]> {
  const rows = await database
    .selectFrom("recovery_action")
    .select(["node_id", "rung", "decided_at", "ended_at", "outcome"])
    .where("decided_at", ">", since)
    .where("rung", "<>", "rebuild")
    .execute();
  return rows.map((row) => ({
    nodeId: row.node_id,
    rung: row.rung,
    decidedAt: row.decided_at,
    endedAt: row.ended_at,
    outcome: row.outcome,
  }));
}

/** Returns the brake that is set, or null. */
export async function brakeNow(
  database: Database,
): Promise<{ readonly cause: "fleet" | "operator"; readonly reason: string; readonly set_at: Date } | null> {
  const row = await database
    .selectFrom("recovery_brake")
    .select(["cause", "reason", "set_at"])
    .where("released_at", "is", null)
    .executeTakeFirst();
  return row ?? null;
}

async function lastRelease(database: Database): Promise<Date | null> {
  const row = await database
    .selectFrom("recovery_brake")
    .select("released_at")
    .where("released_by", "=", "operator")
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  return row?.released_at ?? null;
}

/** Puts a decision into the store. What it wants done is written here before anything is sent. */
export async function saveDecision(transaction: InTransaction, decision: Decision, now: Date): Promise<void> {
  const { brake, episodes, actions } = decision;
  const changes: Change[] = [];
  if (brake?.kind === "set") {
    await transaction
      .insertInto("recovery_brake")
      .values({ cause: "fleet", reason: brake.reason, set_at: now })
      .execute();
    await endOpenActions(transaction, "the brake was set", now);
  }
  if (brake?.kind === "release") await releaseBrakeOf(transaction, "fleet", now);
  for (const change of episodes) await saveEpisode(transaction, change, now);
  for (const action of actions) {
    await saveAction(transaction, action, now);
    changes.push({ topic: "node", subject: action.node.key });
  }
  if (brake !== null || episodes.length > 0 || actions.length > 0) changes.push({ topic: "recovery", subject: "" });
  await appendChanges(transaction, now, changes);
}

async function saveEpisode(transaction: InTransaction, change: EpisodeChange, now: Date): Promise<void> {
  switch (change.kind) {
    case "open":
      await transaction
        .insertInto("recovery_episode")
        .values({
          node_id: change.node.id,
          machine_id: change.node.machineId,
          trouble: change.trouble.kind,
          reason: change.trouble.now.reason,
          trouble_since: now,
          opened_at: now,
          standing: change.standing,
        })
        .execute();
      return;
    case "note":
      await transaction
        .updateTable("recovery_episode")
        .set({
          ...(change.trouble === null ? {} : { trouble: change.trouble.kind, reason: change.trouble.now.reason }),
          trouble_since: change.troubleSince,
          well_since: change.wellSince,
          standing: change.standing,
        })
        .where("id", "=", change.episode.id)
        .execute();
      return;
    case "close":
      // What passed by itself is in the layers' history; there is nothing to tell of it here.
      if (change.episode.actions.length === 0) {
        await transaction.deleteFrom("recovery_episode").where("id", "=", change.episode.id).execute();
        return;
      }
      await endOpenActions(transaction, "the trouble ended", now, change.episode.id);
      await transaction
        .updateTable("recovery_episode")
        .set({ closed_at: now, outcome: change.outcome })
        .where("id", "=", change.episode.id)
        .execute();
      return;
    default:
      change satisfies never;
  }
}

async function saveAction(
  transaction: InTransaction,
  { node, episode, rung, trouble }: DueAction,
  now: Date,
): Promise<void> {
  const { layer, now: at } = trouble;
  const proposal = rung === "rebuild" ? await proposalOf(transaction, node.key) : null;
  await transaction
    .insertInto("recovery_action")
    .values({
      action_id: randomUUID(),
      episode_id: episode.id,
      node_id: node.id,
      machine_id: node.machineId,
      rung,
      reason: `${layer} ${at.value}: ${at.reason}`,
      evidence: JSON.stringify({ layer, value: at.value, class: at.class, since: at.since, ...at.evidence }),
      decided_at: now,
      next_try_at: now,
      ...(proposal === null ? {} : { ended_at: now, outcome: "proposed" as const, detail: proposal }),
    })
    .execute();
}

/** Returns the change of config that would rebuild the node, by the inventory in force. */
async function proposalOf(transaction: InTransaction, key: string): Promise<string> {
  const { rows } = await sql<{ group_size: number; machine_revision: number | null }>`
    select count(*) filter (where record ->> 'group' = ${key.split("/")[0]})::integer as group_size,
      (max(record -> 'revision' ->> 'machine') filter (where record ->> 'key' = ${key}))::integer as machine_revision
    from (select body from inventory_version order by id desc limit 1) last, jsonb_array_elements(last.body -> 'nodes') record`.execute(
    transaction,
  );
  const [group = "", slot = ""] = key.split("/");
  const { group_size: groupSize = 0, machine_revision: machineRevision = null } = rows[0] ?? {};
  return proposalFor({ group, slot: Number(slot), groupSize, machineRevision });
}

/** Ends what is under way: withdrawn where the node cannot have heard of it, otherwise unknown. */
async function endOpenActions(
  transaction: InTransaction,
  why: string,
  now: Date,
  episode: string | null = null,
): Promise<void> {
  let query = transaction
    .updateTable("recovery_action")
    .set({
      ended_at: now,
      outcome: sql<Outcome>`case when maybe_sent then 'unknown' else 'withdrawn' end`,
      detail: why,
      lease_until: null,
    })
    .where("ended_at", "is", null);
  if (episode !== null) query = query.where("episode_id", "=", episode);
  await query.execute();
}

/** Gives up actions that were decided too long ago: then nobody knows, or the node never heard of them. */
export async function giveUpActions(transaction: InTransaction, now: Date): Promise<number> {
  const { numUpdatedRows } = await transaction
    .updateTable("recovery_action")
    .set({
      ended_at: now,
      outcome: sql<Outcome>`case when maybe_sent then 'unknown' when attempts > 0 then 'unreachable' else 'withdrawn' end`,
      detail: sql<string>`coalesce(detail, 'no answer came in time')`,
      lease_until: null,
    })
    .where("ended_at", "is", null)
    .where("decided_at", "<", new Date(now.getTime() - actionLifeMs))
    .where(sql<boolean>`(lease_until is null or lease_until < clock_timestamp())`)
    .executeTakeFirst();
  return Number(numUpdatedRows);
}

/** An action that this collector has claimed. */
export interface ClaimedAction {
  readonly id: string;
  readonly actionId: string;
  readonly rung: RecoverLayer;
  readonly key: string;
  readonly machineId: string;
  readonly reach: Reach["kind"];
  readonly attempt: number;
  /** Whether the node may have heard of it before this attempt. */
  readonly maybeSent: boolean;
}

/**
 * Claims up to `limit` actions that are to be sent, for `leaseMs`; those that another collector is at are left to it. One
 * whose collector died is claimed again when its lease has run out, and sent under the same id.
 */
export async function claimActions(
  database: Database,
  claim: { readonly by: string; readonly leaseMs: number; readonly limit: number; readonly now: Date },
): Promise<ClaimedAction[]> {
  const { rows } = await sql<{
    id: string;
    action_id: string;
    rung: RecoverLayer;
    key: string;
    machine_id: string;
    reach: Reach["kind"];
    attempts: number;
    before: boolean;
  }>`
    with due as (
      select recovery_action.id, maybe_sent as before, node.key, node.reach ->> 'kind' as reach
      from recovery_action join node on node.id = node_id
      where ended_at is null and next_try_at <= ${claim.now} and (lease_until is null or lease_until < clock_timestamp())
      order by recovery_action.id limit ${claim.limit}
      for update of recovery_action skip locked
    )
    update recovery_action as mine
    set lease_until = clock_timestamp() + ${claim.leaseMs} * interval '1 millisecond', claimed_by = ${claim.by},
      attempts = attempts + 1, maybe_sent = true, sent_at = coalesce(sent_at, ${claim.now})
    from due where mine.id = due.id
    returning mine.id, action_id, rung, due.key, machine_id, due.reach, attempts, due.before`.execute(database);
  return rows.map((row) => ({
    id: row.id,
    actionId: row.action_id,
    rung: row.rung,
    key: row.key,
    machineId: row.machine_id,
    reach: row.reach,
    attempt: row.attempts,
    maybeSent: row.before,
  }));
}

/**
 * Notes what became of an action. An answer that comes after it was given up says more than that, and stands in its
 * place. Returns whether it was noted.
 */
export async function endAction(
  database: Database,
  action: ClaimedAction,
  end: { readonly outcome: Outcome; readonly detail: string | null },
  now: Date,
): Promise<boolean> {
  return database.transaction().execute(async (transaction) => {
    const row = await transaction
      .updateTable("recovery_action")
      .set({ ended_at: now, outcome: end.outcome, detail: end.detail, lease_until: null })
      .where("id", "=", action.id)
      .where(({ eb, or }) => or([eb("ended_at", "is", null), eb("outcome", "in", ["unknown", "unreachable"])]))
      .returning("id")
      .executeTakeFirst();
    if (row === undefined) return false;
    await appendChanges(transaction, now, [
      { topic: "node", subject: action.key },
      { topic: "recovery", subject: "" },
    ]);
    return true;
  });
}

/** Gives a claimed action back, to be sent again from `nextTryAt` on. `maybeSent`: whether the node may know it now. */
export async function releaseAction(
  database: Database,
  action: ClaimedAction,
  back: { readonly nextTryAt: Date; readonly detail: string | null; readonly maybeSent: boolean },
): Promise<void> {
  await database
    .updateTable("recovery_action")
    .set({ next_try_at: back.nextTryAt, detail: back.detail, maybe_sent: back.maybeSent, lease_until: null })
    .where("id", "=", action.id)
    .where("attempts", "=", action.attempt)
    .where("ended_at", "is", null)
    .execute();
}

async function releaseBrakeOf(transaction: InTransaction, by: "fleet" | "operator", now: Date): Promise<boolean> {
  const row = await transaction
    .updateTable("recovery_brake")
    .set({ released_at: now, released_by: by })
    .where("released_at", "is", null)
    .returning("id")
    .executeTakeFirst();
  return row !== undefined;
}

/** Releases the brake by the operator's word. Returns whether one was set. */
export async function releaseBrake(database: Database, now: Date): Promise<boolean> {
  return database.transaction().execute(async (transaction) => {
    const released = await releaseBrakeOf(transaction, "operator", now);
    if (released) await appendChanges(transaction, now, [{ topic: "recovery", subject: "" }]);
    return released;
  });
}

/**
 * Sets the brake by the operator's word, which counts also where failing nodes set it before, and withdraws what was not
 * sent. Returns false where the operator had set it already.
 */
export async function setBrake(database: Database, now: Date): Promise<boolean> {
  return database.transaction().execute(async (transaction) => {
    // A decision that is being made would not see it.
    await sql`select pg_advisory_xact_lock(${recoveryLock})`.execute(transaction);
    const said = { cause: "operator", reason: "The operator paused it." } as const;
    const taken = await transaction
      .updateTable("recovery_brake")
      .set(said)
      .where("released_at", "is", null)
      .where("cause", "=", "fleet")
      .returning("id")
      .executeTakeFirst();
    const set =
      taken ??
      (await transaction
        .insertInto("recovery_brake")
        .values({ ...said, set_at: now })
        .onConflict((conflict) => conflict.doNothing())
        .returning("id")
        .executeTakeFirst());
    if (set === undefined) return false;
    await endOpenActions(transaction, "the operator paused recovery", now);
    await appendChanges(transaction, now, [{ topic: "recovery", subject: "" }]);
    return true;
  });
}

/** Which actions are asked for. */
export interface ActionFilter {
  readonly nodeId?: number;
  readonly after?: string;
  readonly limit: number;
}

/** Returns actions, the newest first, each with its episode. */
export async function actionRows(database: Database, filter: ActionFilter) {
  let query = database
    .selectFrom("recovery_action")
    .innerJoin("recovery_episode", "recovery_episode.id", "recovery_action.episode_id")
    .innerJoin("node", "node.id", "recovery_action.node_id")
    .selectAll("recovery_action")
    .select([
      "node.key",
      "recovery_episode.trouble",
      "recovery_episode.outcome as episode_outcome",
      "recovery_episode.closed_at as episode_closed_at",
    ])
    .orderBy("recovery_action.id", "desc")
    .limit(filter.limit);
  if (filter.nodeId !== undefined) query = query.where("recovery_action.node_id", "=", filter.nodeId);
  if (filter.after !== undefined) query = query.where("recovery_action.id", "<", filter.after);
  return query.execute();
}

/** A node for which a rebuild was proposed, and has not come yet. */
export interface OpenProposal {
  readonly node: string;
  readonly at: Date;
  readonly reason: string;
  readonly change: string;
}

/** Returns the rebuilds that are proposed and wait for the operator. */
export async function openProposals(database: Database): Promise<OpenProposal[]> {
  const rows = await database
    .selectFrom("recovery_episode")
    .innerJoin("recovery_action", "recovery_action.episode_id", "recovery_episode.id")
    .innerJoin("node", "node.id", "recovery_episode.node_id")
    .select(["node.key", "recovery_action.decided_at", "recovery_action.reason", "recovery_action.detail"])
    .where("recovery_episode.closed_at", "is", null)
    .where("recovery_action.rung", "=", "rebuild")
    .orderBy("recovery_action.id")
    .execute();
  return rows.map(({ key, decided_at: at, reason, detail }) => ({ node: key, at, reason, change: detail ?? "" }));
}

/** A node that is in trouble now: since when the collector sees it, and what is waited for. */
export interface OpenTrouble {
  readonly key: string;
  readonly trouble: TroubleKind;
  readonly reason: string;
  readonly trouble_since: Date;
  readonly well_since: Date | null;
  readonly standing: string;
}

/** Returns the nodes that are in trouble now, or were a moment ago, the longest first. */
export async function openTroubles(database: Database): Promise<OpenTrouble[]> {
  return database
    .selectFrom("recovery_episode")
    .innerJoin("node", "node.id", "recovery_episode.node_id")
    .select(["key", "trouble", "reason", "trouble_since", "well_since", "standing"])
    .where("closed_at", "is", null)
    .orderBy("trouble_since")
    .orderBy("key")
    .execute();
}
