import { type FindWorkload, plainLayers } from "../inventory/workloads.ts";
import { type Log, sentenceOf } from "../log.ts";
import {
  alertPicture,
  announceAlerts,
  lastMessages,
  openAlerts,
  saveSettlement,
  saveTelling,
  tellableAlerts,
  watchAlone,
} from "../store/alerts.ts";
import type { Database } from "../store/database.ts";
import { type Message, messagesDue } from "./messages.ts";
import { deliverDue } from "./outbox.ts";
import { conditionsIn, severities } from "./rules.ts";
import type { AlertSettings } from "./settings.ts";
import { settle } from "./settle.ts";

/** What watching needs of the world. */
export interface WatchDependencies {
  readonly database: Database;
  readonly log: Log;
  readonly now: () => Date;
  readonly workloads: FindWorkload;
  readonly fetch: typeof globalThis.fetch;
}

/** The watch over the fleet. */
export interface AlertWatch {
  /** Looks once: settles the alerts, makes the messages that are due, and tells the world outside that it watches. */
  look(): Promise<void>;
  /** Sends what waits in the outbox. */
  deliver(): Promise<void>;
  stop(): void;
}

const heartbeatMs = 10_000;

/** Returns the names of the channels that a message goes to. */
export function channelsFor(
  { channels }: AlertSettings,
  { kind, severity }: Pick<Message, "kind" | "severity">,
): string[] {
  const rank = severities.indexOf(severity);
  return channels.flatMap(({ name, least, escalation }) =>
    escalation === (kind === "escalated") && rank >= severities.indexOf(least) ? [name] : [],
  );
}

/** Watches by `settings`. Several collectors may watch one database: each look is made by one of them. */
export function watchAlerts(settings: AlertSettings, dependencies: WatchDependencies): AlertWatch {
  const { database, log, now, workloads, fetch } = dependencies;
  const stopping = new AbortController();
  const { heartbeat } = settings;
  let beatAt = Number.NEGATIVE_INFINITY;
  let heard = true;

  const beat = async (): Promise<void> => {
    if (heartbeat === undefined || now().getTime() < beatAt + heartbeat.everySeconds * 1_000) return;
    beatAt = now().getTime();
    try {
      const limit = AbortSignal.any([stopping.signal, AbortSignal.timeout(heartbeatMs)]);
      const response = await fetch(heartbeat.url, { method: "POST", redirect: "manual", signal: limit });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`it answered with ${response.status}`);
      heard = true;
    } catch (error) {
      if (stopping.signal.aborted) return;
      // Its address is a secret: whoever knows it can keep the watcher quiet.
      if (heard)
        log("warn", `The heartbeat was not taken: ${sentenceOf(error).replaceAll(heartbeat.url, "its address")}`);
      heard = false;
    }
  };

  return {
    async look() {
      await watchAlone(database, async (transaction) => {
        const at = now();
        const namesOf = async (workload: string) => (await workloads(workload))?.layers ?? plainLayers;
        const conditions = conditionsIn(await alertPicture(transaction, namesOf, at), at);
        const settlement = settle(await openAlerts(transaction), conditions, settings, at);
        await saveSettlement(transaction, settlement, at);
        const telling = messagesDue(await tellableAlerts(transaction), await lastMessages(transaction), settings, at);
        await saveTelling(transaction, telling, (message) => channelsFor(settings, message), at);
        const changed = [settlement.opened, settlement.restated, settlement.ended, telling.messages].some(
          (list) => list.length > 0,
        );
        if (changed) await announceAlerts(transaction, at);
      });
      await beat();
    },
    deliver: () => deliverDue(settings.channels, { database, log, now, fetch }, stopping.signal),
    stop: () => stopping.abort(),
  };
}
