import { sql } from "kysely";
import type { Delivery } from "../alerts/channels/delivery.ts";
import type { Database } from "./database.ts";

/** A delivery that this collector has claimed. */
export interface ClaimedDelivery extends Delivery {
  readonly channel: string;
  /** Attempts before this one. */
  readonly attempts: number;
}

/**
 * Claims up to `limit` deliveries on these channels that are due at `now`, the oldest message first, for `leaseMs`; those
 * that another collector is at are left to it. A collector that dies keeps its lease, and then they are due again: a
 * message is delivered at least once. With `urgentOnly`, channels take critical messages alone.
 */
export async function claimDeliveries(
  database: Database,
  channels: { readonly all: readonly string[]; readonly urgentOnly: readonly string[] },
  limit: number,
  leaseMs: number,
  now: Date,
): Promise<ClaimedDelivery[]> {
  const { rows } = await sql<{
    message_id: string;
    channel: string;
    attempts: number;
    at: Date;
    rule: string;
    kind: Delivery["kind"];
    severity: Delivery["severity"];
    title: string;
    body: string;
    count: number;
  }>`
    with due as (
      select message_id, channel from alert_delivery join alert_message on id = message_id
      where delivered_at is null and given_up_at is null and next_try_at <= ${now}
        and (lease_until is null or lease_until < clock_timestamp())
        and (channel = any(${channels.all}) or (channel = any(${channels.urgentOnly}) and severity = 'critical'))
      order by at, message_id limit ${limit}
      for update of alert_delivery skip locked
    )
    update alert_delivery as mine
    set lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond', attempts = attempts + 1
    from due join alert_message on id = due.message_id
    where mine.message_id = due.message_id and mine.channel = due.channel
    returning mine.message_id, mine.channel, mine.attempts, at, rule, kind, severity, title, body,
      jsonb_array_length(alerts) as count`.execute(database);
  return rows.map(({ message_id: id, attempts, ...rest }) => ({ id, attempts: attempts - 1, ...rest }));
}

/** Notes how an attempt ended. */
export async function noteAttempt(
  database: Database,
  { id, channel }: Pick<ClaimedDelivery, "id" | "channel">,
  end:
    | { readonly deliveredAt: Date }
    | { readonly nextTryAt: Date; readonly reason: string }
    | { readonly givenUpAt: Date; readonly reason: string },
): Promise<void> {
  const columns =
    "deliveredAt" in end
      ? { delivered_at: end.deliveredAt, reason: null }
      : "nextTryAt" in end
        ? { next_try_at: end.nextTryAt, reason: end.reason }
        : { given_up_at: end.givenUpAt, reason: end.reason };
  await database
    .updateTable("alert_delivery")
    .set({ ...columns, lease_until: null })
    .where("message_id", "=", id)
    .where("channel", "=", channel)
    .execute();
}

/** Gives up what waits for channels that are no longer among `channels`. Returns how many messages that were. */
export async function giveUpOthers(database: Database, channels: readonly string[], now: Date): Promise<number> {
  const { numUpdatedRows } = await database
    .updateTable("alert_delivery")
    .set({ given_up_at: now, reason: "its channel left the settings" })
    .where("delivered_at", "is", null)
    .where("given_up_at", "is", null)
    .where(sql<boolean>`channel <> all(${channels})`)
    .executeTakeFirst();
  return Number(numUpdatedRows);
}
