import { type Log, sentenceOf } from "../log.ts";
import { redactReading } from "../networks/redaction.ts";
import type { Database } from "../store/database.ts";
import { type ClaimedDelivery, claimDeliveries, giveUpOthers, noteAttempt } from "../store/outbox.ts";
import { NotDelivered } from "./channels/delivery.ts";
import { send } from "./channels/send.ts";
import { isQuiet } from "./quiet.ts";
import { type Channel, secretsOf } from "./settings.ts";

/** What delivering needs of the world. */
export interface OutboxDependencies {
  readonly database: Database;
  readonly log: Log;
  readonly now: () => Date;
  readonly fetch: typeof globalThis.fetch;
}

const atOnce = 8;
// Longer than any attempt lasts.
const leaseMs = 60_000;
const firstPauseMs = 10_000;
const longestPauseMs = 900_000;
const givenUpAfterMs = 7 * 86_400_000;

/** How long to wait after `attempts` that failed, in milliseconds: doubled each time, from 10 s to a quarter of an hour. */
export function pauseAfter(attempts: number): number {
  return Math.min(firstPauseMs * 2 ** Math.min(attempts - 1, 20), longestPauseMs);
}

/**
 * Sends what is due on `channels` until nothing is: each message at least once, in the order in which they were made, as
 * long as its channel has taken it or a week is over. One channel's trouble does not hold up another. Never throws for
 * what the other side did.
 */
export async function deliverDue(
  channels: readonly Channel[],
  dependencies: OutboxDependencies,
  signal: AbortSignal,
): Promise<void> {
  const { database, log, now } = dependencies;
  const gone = await giveUpOthers(
    database,
    channels.map(({ name }) => name),
    now(),
  );
  if (gone > 0) log("warn", `${gone} messages were given up: their channels left the alert settings.`);
  while (!signal.aborted) {
    const names = { all: [] as string[], urgentOnly: [] as string[] };
    for (const { name, quiet } of channels) names[isQuiet(quiet, now()) ? "urgentOnly" : "all"].push(name);
    const claimed = await claimDeliveries(database, names, atOnce, leaseMs, now());
    if (claimed.length === 0) return;
    await Promise.all(
      claimed.map(async (delivery) => {
        const channel = channels.find(({ name }) => name === delivery.channel);
        if (channel !== undefined) await attempt(channel, delivery, dependencies, signal);
      }),
    );
  }
}

async function attempt(
  channel: Channel,
  delivery: ClaimedDelivery,
  { database, log, now, fetch }: OutboxDependencies,
  signal: AbortSignal,
): Promise<void> {
  try {
    await send(channel, delivery, { fetch, now, signal });
  } catch (error) {
    if (!(error instanceof NotDelivered)) throw error;
    // Told to stop: nothing is known of the attempt, and it is made again.
    if (signal.aborted) return;
    const reason = redactReading(sentenceOf(error.message), secretsOf(channel)).slice(0, 500);
    const at = now();
    if (at.getTime() - delivery.at.getTime() > givenUpAfterMs) {
      await noteAttempt(database, delivery, { givenUpAt: at, reason });
      log("error", `A message was given up after a week: ${channel.name} ${reason}`, { message: delivery.id });
      return;
    }
    if (delivery.attempts === 0)
      log("warn", `The channel ${channel.name} did not take a message: ${reason}`, { message: delivery.id });
    const pause = Math.max(pauseAfter(delivery.attempts + 1), error.retryAfterMs ?? 0);
    await noteAttempt(database, delivery, { nextTryAt: new Date(at.getTime() + pause), reason });
    return;
  }
  await noteAttempt(database, delivery, { deliveredAt: now() });
}
