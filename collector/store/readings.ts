import type { ReadingOutcome } from "../api/types.ts";
import type { Adapter, Answer, ParsedFact } from "../networks/adapter.ts";
import { nodeMetrics } from "../networks/adapter.ts";
import { hashOf, redactorVersion } from "../networks/redaction.ts";
import { foldReward } from "../states/reward.ts";
import type { LayerChange } from "../states/timeline.ts";
import { changeOfVerdict } from "../states/verdict.ts";
import { appendChanges, type Change } from "./changes.ts";
import { type Database, type InTransaction, inTransaction } from "./database.ts";
import { applyLayerChanges } from "./layers.ts";

/** Whose readings they are. */
export interface AccountKey {
  readonly network: string;
  readonly account: string;
}

/** An answer, redacted, with what it was understood to say. */
export interface UnderstoodAnswer {
  readonly answer: Answer;
  /** Redacted: what is hashed and stored. */
  readonly body: string;
  readonly outcome: ReadingOutcome;
  readonly reason: string | null;
  readonly facts: readonly ParsedFact[];
}

/** Makes the account known, with how it is called on screens. */
export async function knowAccount(
  database: Database,
  key: AccountKey,
  label: string,
  practice: boolean,
): Promise<void> {
  await database
    .insertInto("account")
    .values({ ...key, label, practice })
    .onConflict((conflict) => conflict.columns(["network", "account"]).doUpdateSet({ label, practice }))
    .execute();
}

/** Returns the network's own ids of the fleet's nodes that earn from it and are not gone. */
export async function tiedNodeIds(database: Database, network: string): Promise<readonly string[]> {
  const rows = await database
    .selectFrom("network_node")
    .select("network_node_id")
    .distinct()
    .where("network", "=", network)
    .where("to_at", "is", null)
    .orderBy("network_node_id")
    .execute();
  return rows.map((row) => row.network_node_id);
}

/**
 * Stores what one asking brought: every answer as a reading, the facts of those that were understood, and what they
 * make of the verdict and reward layers of tied nodes; in one transaction, that of `database` where it is one, so no fact
 * is without its reading.
 */
export async function storeAnswers(
  database: Database,
  key: AccountKey,
  adapter: Adapter,
  stallMs: number,
  answers: readonly UnderstoodAnswer[],
  now: Date,
): Promise<void> {
  await inTransaction(database, async (transaction) => {
    const readings: { id: string; understood: UnderstoodAnswer }[] = [];
    for (const understood of answers) {
      readings.push({ id: await storeReading(transaction, key, understood), understood });
    }
    const changes: Change[] = [{ topic: "account", subject: `${key.network}/${key.account}` }];
    const told = nodesIn(readings);
    const ties = await openTies(transaction, key.network, [...told.keys()]);
    for (const { id, understood } of readings) {
      await storeFacts(transaction, key, adapter, id, understood.facts, understood.answer.finishedAt);
    }
    for (const tie of ties) {
      const node = told.get(tie.network_node_id);
      if (node === undefined) continue;
      await tellNode(transaction, tie.node_id, adapter, node, stallMs);
      changes.push({ topic: "node", subject: tie.key });
    }
    await appendChanges(transaction, now, changes);
  });
}

async function storeReading(
  transaction: InTransaction,
  key: AccountKey,
  understood: UnderstoodAnswer,
): Promise<string> {
  const { answer, body, outcome, reason } = understood;
  const row = await transaction
    .insertInto("reading")
    .values({
      ...key,
      source: answer.call,
      started_at: answer.startedAt,
      finished_at: answer.finishedAt,
      http_status: answer.httpStatus,
      outcome,
      reason,
      sha256: hashOf(body),
      size: Buffer.byteLength(body),
      redactor: redactorVersion,
    })
    .returning("id")
    .executeTakeFirstOrThrow();
  await transaction.insertInto("reading_body").values({ reading_id: row.id, body }).execute();
  return row.id;
}

/** Stores the facts of a reading, as this adapter's parser found them. `asOf` is when the answer came. */
export async function storeFacts(
  transaction: InTransaction,
  key: AccountKey,
  adapter: Adapter,
  reading: string,
  facts: readonly ParsedFact[],
  asOf: Date,
): Promise<void> {
  const rows = facts.map((fact) => {
    const metric = adapter.metricOf(fact.metric);
    if (metric === undefined)
      throw new Error(`the adapter ${adapter.network} does not declare the metric ${fact.metric}`);
    return {
      reading_id: reading,
      network: key.network,
      account: key.account,
      network_node_id: fact.networkNodeId,
      metric: fact.metric,
      kind: metric.kind,
      value: fact.value?.toString() ?? null,
      text: fact.text,
      unit: metric.unit,
      scale: metric.scale,
      day: fact.day,
      derived: fact.derived,
      parser: adapter.parser,
      as_of: asOf,
    };
  });
  for (let index = 0; index < rows.length; index += 2_000) {
    await transaction
      .insertInto("fact")
      .values(rows.slice(index, index + 2_000))
      .execute();
  }
}

interface ToldNode {
  readonly networkNodeId: string;
  readonly at: Date;
  readonly reading: string;
  verdict?: string;
  verdictReason?: string;
  points?: bigint;
  absent?: true;
}

/** Gathers what the readings say of each node. A later answer of the same asking wins. */
function nodesIn(readings: readonly { id: string; understood: UnderstoodAnswer }[]): Map<string, ToldNode> {
  const nodes = new Map<string, ToldNode>();
  for (const { id, understood } of readings) {
    const own = new Map<string, ToldNode>();
    for (const { networkNodeId, metric, text, value } of understood.facts) {
      if (networkNodeId === null) continue;
      const node = own.get(networkNodeId) ?? { networkNodeId, at: understood.answer.finishedAt, reading: id };
      if (metric === nodeMetrics.verdict && text !== null) node.verdict = text;
      if (metric === nodeMetrics.verdictReason && text !== null) node.verdictReason = text;
      if (metric === nodeMetrics.points && value !== null) node.points = value;
      if (metric === nodeMetrics.presence && text === "absent") node.absent = true;
      own.set(networkNodeId, node);
    }
    for (const [networkNodeId, node] of own) {
      if (node.verdict !== undefined || node.points !== undefined || node.absent === true)
        nodes.set(networkNodeId, node);
    }
  }
  return nodes;
}

async function openTies(transaction: InTransaction, network: string, ids: readonly string[]) {
  if (ids.length === 0) return [];
  return transaction
    .selectFrom("network_node")
    .innerJoin("node", "node.id", "network_node.node_id")
    .select(["network_node.node_id", "network_node.network_node_id", "node.key"])
    .where("network_node.network", "=", network)
    .where("network_node.network_node_id", "in", ids)
    .where("network_node.to_at", "is", null)
    .orderBy("network_node.node_id")
    .execute();
}

async function tellNode(
  transaction: InTransaction,
  nodeId: number,
  adapter: Adapter,
  told: ToldNode,
  stallMs: number,
): Promise<void> {
  await transaction.selectFrom("node").select("id").where("id", "=", nodeId).forUpdate().execute();
  const changes: LayerChange[] = [];
  if (told.verdict !== undefined) {
    const { verdict, verdictReason = null, at, reading } = told;
    changes.push(changeOfVerdict(verdict, adapter.classOf(verdict), verdictReason, at, reading));
  }
  if (told.absent === true) {
    const reason = "the network answers that it does not know this node";
    const evidence = { kind: "reading", reading: told.reading } as const;
    changes.push(
      { layer: "verdict", at: told.at, value: "unknown", class: "unknown", reason, evidence },
      { layer: "reward", at: told.at, value: "unknown", reason, evidence },
    );
  }
  if (told.points !== undefined) {
    const latest = await transaction
      .selectFrom("node_latest")
      .select("reward")
      .where("node_id", "=", nodeId)
      .executeTakeFirstOrThrow();
    const { networkNodeId, at, reading } = told;
    const folded = foldReward(latest.reward, { networkNodeId, units: told.points, at, reading }, stallMs);
    changes.push(folded.change);
    await transaction
      .updateTable("node_latest")
      .set({ reward: JSON.stringify(folded.memory) })
      .where("node_id", "=", nodeId)
      .execute();
  }
  await applyLayerChanges(transaction, nodeId, changes);
}
