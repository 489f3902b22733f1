import { randomUUID } from "node:crypto";
import { sql } from "kysely";
import { Inventory } from "../../infra/inventory.ts";
import type { Message, MessageKind, TellableAlert, Telling } from "../alerts/messages.ts";
import { eventMs, type NodePicture, type Picture, watchedEvents } from "../alerts/rules.ts";
import type { OpenAlert, Settlement } from "../alerts/settle.ts";
import type { LayerName } from "../api/types.ts";
import { appendChanges } from "./changes.ts";
import { type Database, type InTransaction, inTransactionAlone } from "./database.ts";
import { brakeNow, openProposals } from "./recovery.ts";
import { openLayers } from "./views.ts";

const watchLock = 7_232_004;

/**
 * Runs `work` in a transaction that no other collector's watch is in at the same time. Returns null where another one is
 * at it: then it sees to the alerts.
 */
export function watchAlone<Result>(
  database: Database,
  work: (transaction: InTransaction) => Promise<Result>,
): Promise<Result | null> {
  return inTransactionAlone(database, watchLock, work);
}

/** What an alert of a node is told with: what its workload calls the layers. */
export type LayerNames = (workload: string) => Promise<NodePicture["names"]>;

/** Returns what rules look at, as it stands at `now`. */
export async function alertPicture(database: Database, namesOf: LayerNames, now: Date): Promise<Picture> {
  const nodes = await database
    .selectFrom("node")
    .select(["id", "key", "power", "workload"])
    .where("gone_at", "is", null)
    .orderBy("id")
    .execute();
  const names = new Map<string, NodePicture["names"]>();
  for (const workload of new Set(nodes.map((node) => node.workload))) names.set(workload, await namesOf(workload));
  const layers = new Map<number, Awaited<ReturnType<typeof openLayers>>>();
  for (const layer of await openLayers(
    database,
    nodes.map(({ id }) => id),
  )) {
    const own = layers.get(layer.node_id);
    if (own === undefined) layers.set(layer.node_id, [layer]);
    else own.push(layer);
  }
  return {
    nodes: nodes.map(({ id, key, power, workload }) => ({
      key,
      power,
      names: names.get(workload) as NodePicture["names"],
      layers: Object.fromEntries(
        (layers.get(id) ?? []).map(({ layer, value, class: own, reason, from_at }) => [
          layer,
          { value, class: own, reason, since: from_at },
        ]),
      ) as Partial<Record<LayerName, NonNullable<NodePicture["layers"][LayerName]>>>,
    })),
    events: await recentEvents(database, now),
    unread: await unreadAccounts(database),
    runs: await lastRuns(database),
    overdue: await overdueJobs(database, now),
    refusing: await refusingChannels(database),
    recovery: await recoveryNow(database),
    fleet: await fleetInForce(database),
  };
}

/** What the operator paused they know of. */
async function recoveryNow(database: Database): Promise<Picture["recovery"]> {
  const brake = await brakeNow(database);
  return {
    braked: brake?.cause === "fleet" ? { since: brake.set_at, reason: brake.reason } : null,
    proposals: await openProposals(database),
  };
}

async function recentEvents(database: Database, now: Date): Promise<Picture["events"]> {
  const rows = await database
    .selectFrom("node_event")
    .innerJoin("node", "node.id", "node_event.node_id")
    .select(({ fn }) => [
      "node.key",
      "node_event.name",
      fn.countAll<string>().as("count"),
      fn.min<Date>("node_event.at").as("first"),
      fn.max<Date>("node_event.at").as("last"),
    ])
    .where("node_event.seen_at", ">", new Date(now.getTime() - eventMs))
    .where("node_event.name", "in", watchedEvents)
    .groupBy(["node.key", "node_event.name"])
    .orderBy("node.key")
    .orderBy("node_event.name")
    .execute();
  return rows.map(({ key, name, count, first, last }) => ({ node: key, name, count: Number(count), first, last }));
}

async function unreadAccounts(database: Database): Promise<Picture["unread"]> {
  const rows = await database
    .selectFrom("gap")
    .select(["network", "account", "from_at", "reason"])
    .where("node_id", "is", null)
    .where("kind", "=", "not-read")
    .where("to_at", "is", null)
    .execute();
  return rows.map(({ network, account, from_at: from, reason }) => ({
    account: `${network}/${account}`,
    from,
    reason,
  }));
}

async function lastRuns(database: Database): Promise<Picture["runs"]> {
  const rows = await database
    .selectFrom("job")
    .innerJoinLateral(
      (from) =>
        from
          .selectFrom("run")
          .select(["run.finished_at", "run.outcome", "run.reason"])
          .whereRef("run.job", "=", "job.name")
          .where("run.outcome", "is not", null)
          .where("run.outcome", "<>", "missed")
          .orderBy("run.due", "desc")
          .limit(1)
          .as("last"),
      (join) => join.onTrue(),
    )
    .select(["job.name", "last.finished_at", "last.outcome", "last.reason"])
    .where("job.ended_at", "is", null)
    .orderBy("job.name")
    .execute();
  return rows.flatMap(({ name, finished_at: at, outcome, reason }) =>
    at === null || outcome === null ? [] : [{ job: name, at, outcome, reason: reason ?? "no reason was given" }],
  );
}

async function overdueJobs(database: Database, now: Date): Promise<Picture["overdue"]> {
  const rows = await database
    .selectFrom("run")
    .select(({ fn }) => ["job", fn.min<Date>("due").as("due")])
    .where("finished_at", "is", null)
    .where("due", "<", now)
    .groupBy("job")
    .orderBy("job")
    .execute();
  return rows.map(({ job, due }) => ({ job, due }));
}

async function refusingChannels(database: Database): Promise<Picture["refusing"]> {
  const rows = await database
    .selectFrom("alert_delivery")
    .innerJoin("alert_message", "alert_message.id", "alert_delivery.message_id")
    .select(({ fn }) => [
      "alert_delivery.channel",
      fn.min<Date>("alert_message.at").as("since"),
      sql<string>`(array_agg(alert_delivery.reason order by alert_delivery.next_try_at desc))[1]`.as("reason"),
    ])
    .where("alert_delivery.delivered_at", "is", null)
    .where("alert_delivery.given_up_at", "is", null)
    .where("alert_delivery.reason", "is not", null)
    .groupBy("alert_delivery.channel")
    .orderBy("alert_delivery.channel")
    .execute();
  return rows;
}

async function fleetInForce(database: Database): Promise<Picture["fleet"]> {
  const row = await database
    .selectFrom("inventory_version")
    .select(["body", "written_at"])
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  if (row === undefined) return null;
  const { stack, phase, freeUntil, shared, nodes } = Inventory.parse(row.body);
  const lines = [...shared, ...nodes.flatMap(({ price, power }) => (power === "on" ? price : []))];
  return {
    stack,
    phase: phase === null ? null : { ...phase, end: phase.end === null ? null : new Date(phase.end) },
    freeUntil: freeUntil.map(({ account, at }) => ({ account, at: new Date(at) })),
    microUsdPerMonth: lines.reduce((sum, { microUsdPerMonth }) => sum + microUsdPerMonth, 0),
    writtenAt: row.written_at,
  };
}

/** Returns the alerts that are open. */
export async function openAlerts(database: Database): Promise<OpenAlert[]> {
  return database
    .selectFrom("alert")
    .select(["id", "rule", "subject", "summary"])
    .where("resolved_at", "is", null)
    .execute();
}

/** Puts a settlement into the alerts. */
export async function saveSettlement(transaction: InTransaction, settlement: Settlement, now: Date): Promise<void> {
  const { opened, restated, ended } = settlement;
  for (const { id, summary } of restated)
    await transaction.updateTable("alert").set({ summary }).where("id", "=", id).execute();
  if (ended.length > 0)
    await transaction.updateTable("alert").set({ resolved_at: now }).where("id", "in", ended).execute();
  if (opened.length > 0) {
    await transaction
      .insertInto("alert")
      .values(
        opened.map(({ rule, subject, severity, summary, fix, since }) => ({
          rule,
          subject,
          severity,
          summary,
          fix,
          since,
          opened_at: now,
        })),
      )
      .execute();
  }
}

/** Returns the alerts of which something may have to be told. */
export async function tellableAlerts(database: Database): Promise<TellableAlert[]> {
  const rows = await database
    .selectFrom("alert")
    .selectAll()
    .where(({ eb, or }) => or([eb("resolved_at", "is", null), eb("end_told_at", "is", null)]))
    .orderBy("id")
    .execute();
  return rows.map((row) => ({
    id: row.id,
    rule: row.rule,
    severity: row.severity,
    summary: row.summary,
    fix: row.fix,
    openedAt: row.opened_at,
    resolvedAt: row.resolved_at,
    acknowledgedAt: row.acknowledged_at,
    toldAt: row.told_at,
    escalatedAt: row.escalated_at,
  }));
}

/** Returns when the last message of each rule and kind was made, for rules of which something may have to be told. */
export async function lastMessages(database: Database): Promise<(rule: string, kind: MessageKind) => Date | null> {
  const rows = await database
    .selectFrom("alert_message")
    .select(({ fn }) => ["rule", "kind", fn.max<Date>("at").as("at")])
    .groupBy(["rule", "kind"])
    .execute();
  const at = new Map(rows.map((row) => [`${row.rule} ${row.kind}`, row.at]));
  return (rule, kind) => at.get(`${rule} ${kind}`) ?? null;
}

/** The column that says when a message of each kind was made of an alert. */
const toldColumn = { began: "told_at", escalated: "escalated_at", ended: "end_told_at" } as const;

/**
 * Puts messages into the outbox, one delivery for each channel that `channelsOf` names, and notes on their alerts that
 * they were told of.
 */
export async function saveTelling(
  transaction: InTransaction,
  { messages, passedOver }: Telling,
  channelsOf: (message: Message) => readonly string[],
  now: Date,
): Promise<void> {
  for (const message of messages) {
    const { alerts, ...columns } = message;
    const id = randomUUID();
    await transaction
      .insertInto("alert_message")
      .values({ id, at: now, ...columns, alerts: JSON.stringify(alerts) })
      .execute();
    const channels = channelsOf(message);
    if (channels.length > 0) {
      await transaction
        .insertInto("alert_delivery")
        .values(channels.map((channel) => ({ message_id: id, channel, next_try_at: now })))
        .execute();
    }
    await transaction
      .updateTable("alert")
      .set({ [toldColumn[message.kind]]: now })
      .where("id", "in", alerts)
      .execute();
  }
  if (passedOver.length === 0) return;
  // One that ended before it was told has no end to tell of either.
  await transaction
    .updateTable("alert")
    .set({ told_at: now, end_told_at: sql`case when resolved_at is null then null else ${now}::timestamptz end` })
    .where("id", "in", passedOver)
    .execute();
}

/** Tells listeners of the live stream that alerts changed. It has to be the last statement of its transaction. */
export async function announceAlerts(transaction: InTransaction, now: Date): Promise<void> {
  await appendChanges(transaction, now, [{ topic: "alert", subject: "" }]);
}

/** Notes when somebody acknowledged an alert or read it; the first time counts. Returns whether there is that alert. */
export async function markAlert(
  database: Database,
  id: string,
  what: "acknowledged_at" | "read_at",
  now: Date,
): Promise<boolean> {
  return database.transaction().execute(async (transaction) => {
    // Whoever acknowledges an alert has read it.
    const columns = what === "read_at" ? (["read_at"] as const) : (["acknowledged_at", "read_at"] as const);
    const row = await transaction
      .updateTable("alert")
      .set(Object.fromEntries(columns.map((column) => [column, sql`coalesce(${sql.ref(column)}, ${now})`])))
      .where("id", "=", id)
      .returning("id")
      .executeTakeFirst();
    if (row !== undefined) await announceAlerts(transaction, now);
    return row !== undefined;
  });
}

/** Returns alerts, the newest first, with how their messages fared. */
export async function alertRows(
  database: Database,
  filter: { readonly open?: boolean; readonly rule?: string; readonly after?: string; readonly limit: number },
) {
  let query = database.selectFrom("alert").selectAll().orderBy("id", "desc").limit(filter.limit);
  if (filter.open !== undefined) query = query.where("resolved_at", filter.open ? "is" : "is not", null);
  if (filter.rule !== undefined) query = query.where("rule", "=", filter.rule);
  if (filter.after !== undefined) query = query.where("id", "<", filter.after);
  return query.execute();
}
