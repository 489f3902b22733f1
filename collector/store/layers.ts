import { type LayerName, layerNames } from "../api/types.ts";
import {
  censored,
  type Evidence,
  type LayerChange,
  type Stretch,
  type Timeline,
  withChange,
  withoutSilence,
} from "../states/timeline.ts";
import type { InTransaction } from "./database.ts";

/**
 * Puts `changes` into the layers of a node. With `line`, the instant of the oldest line among the evidence, what was
 * concluded from silence after that instant is taken back first. The caller holds the node's row.
 */
export async function applyLayerChanges(
  transaction: InTransaction,
  nodeId: number,
  changes: readonly LayerChange[],
  line: Date | null = null,
): Promise<void> {
  for (const layer of layerNames) {
    const own = changes.filter((change) => change.layer === layer);
    const earliest = Math.min(...own.map(({ at }) => at.getTime()), line?.getTime() ?? Number.POSITIVE_INFINITY);
    if (earliest === Number.POSITIVE_INFINITY) continue;
    const before = await timelineFrom(transaction, nodeId, layer, new Date(earliest));
    const heard = line === null ? before : withoutSilence(before, line);
    await save(transaction, nodeId, layer, before, censored(before, own.reduce(withChange, heard)));
  }
}

/** Returns the stretches of a layer that last beyond, or end at, `from`. */
async function timelineFrom(
  transaction: InTransaction,
  nodeId: number,
  layer: LayerName,
  from: Date,
): Promise<Timeline> {
  const rows = await transaction
    .selectFrom("layer_interval")
    .selectAll()
    .where("node_id", "=", nodeId)
    .where("layer", "=", layer)
    .where(({ eb, or }) => or([eb("to_at", "is", null), eb("to_at", ">=", from)]))
    .orderBy("from_at")
    .execute();
  return rows.map((row) => ({
    id: row.id,
    value: row.value,
    class: row.class,
    reason: row.reason,
    from: row.from_at,
    to: row.to_at,
    asOf: row.as_of,
    evidence: row.evidence as unknown as Evidence,
    begunBy: row.begun_by,
    startCensoring: row.start_censoring,
    endCensoring: row.end_censoring,
  }));
}

async function save(
  transaction: InTransaction,
  nodeId: number,
  layer: LayerName,
  before: Timeline,
  after: Timeline,
): Promise<void> {
  const stored = new Map(before.map((stretch) => [stretch.id, stretch]));
  const kept = new Set(after.map(({ id }) => id));
  const dropped = before.flatMap(({ id }) => (id === null || kept.has(id) ? [] : [id]));
  if (dropped.length > 0) await transaction.deleteFrom("layer_interval").where("id", "in", dropped).execute();
  // Ends are set before new beginnings: at no moment are two stretches of a layer open.
  const changed = after.filter((stretch) => stretch.id !== null && stored.get(stretch.id) !== stretch);
  for (const stretch of changed.toSorted((one, other) => Number(one.to === null) - Number(other.to === null))) {
    await transaction
      .updateTable("layer_interval")
      .set(columns(stretch))
      .where("id", "=", stretch.id as string)
      .execute();
  }
  const fresh = after.filter(({ id }) => id === null);
  if (fresh.length === 0) return;
  await transaction
    .insertInto("layer_interval")
    .values(fresh.map((stretch) => ({ node_id: nodeId, layer, ...columns(stretch) })))
    .execute();
}

function columns(stretch: Stretch) {
  return {
    value: stretch.value,
    class: stretch.class,
    reason: stretch.reason,
    from_at: stretch.from,
    to_at: stretch.to,
    as_of: stretch.asOf,
    evidence: JSON.stringify(stretch.evidence),
    begun_by: stretch.begunBy,
    start_censoring: stretch.startCensoring,
    end_censoring: stretch.endCensoring,
  };
}
