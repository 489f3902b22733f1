import { hostname } from "node:os";
import type { RecoverAnswer } from "../journal/agent.ts";
import type { FleetFollower } from "../journal/follow.ts";
import { type Log, sentenceOf } from "../log.ts";
import type { Database } from "../store/database.ts";
import {
  type ClaimedAction,
  claimActions,
  decideAlone,
  endAction,
  giveUpActions,
  recoveryPicture,
  releaseAction,
  saveDecision,
} from "../store/recovery.ts";
import { decide } from "./ladder.ts";
import type { Outcome } from "./rungs.ts";
import type { RecoverySettings } from "./settings.ts";

/** What recovery needs of the world. */
export interface RecoveryDependencies {
  readonly database: Database;
  readonly log: Log;
  readonly now: () => Date;
  readonly fleet: Pick<FleetFollower, "recover">;
}

/** Recovery at work. */
export interface Recovery {
  /** Decides once what is to be done, and begins to send what waits. */
  look(): Promise<void>;
  /** Settles when nothing is being sent. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

/** Longer than a verb may take with its connection: a collector that is at it keeps its claim. */
const leaseMs = 150_000;
const claimsAtOnce = 16;
/** A node that was not reached, or asks for time, is asked again after this, then twice as long, up to the last. */
const firstRetryMs = 5_000;
const lastRetryMs = 120_000;

/**
 * Repairs nodes by `settings`. Several collectors may work on one database: one of them decides at a time, and each
 * action is claimed by one of them.
 */
export function watchRecovery(settings: RecoverySettings, dependencies: RecoveryDependencies): Recovery {
  const { database, log, now, fleet } = dependencies;
  const watchedSince = now();
  const by = `${hostname()}:${process.pid}`;
  const stopping = new AbortController();
  const sending = new Set<Promise<void>>();

  const send = async (action: ClaimedAction): Promise<void> => {
    const answer = await fleet.recover(action, action.rung, action.actionId, stopping.signal);
    const end = endOf(answer);
    if (end !== null) {
      await endAction(database, action, end, now());
      log("info", "recovery-action-ended", { node: action.key, rung: action.rung, ...end });
      return;
    }
    const waitMs = stopping.signal.aborted ? 0 : Math.min(lastRetryMs, firstRetryMs * 2 ** (action.attempt - 1));
    await releaseAction(database, action, {
      nextTryAt: new Date(now().getTime() + waitMs),
      detail: answer.kind === "done" ? null : answer.detail,
      maybeSent: action.maybeSent || answer.kind !== "silent" || answer.heard,
    });
  };

  return {
    async look() {
      if (stopping.signal.aborted) return;
      await decideAlone(database, async (transaction) => {
        const at = now();
        await giveUpActions(transaction, at);
        const decision = decide(await recoveryPicture(transaction, watchedSince, at), settings, at);
        await saveDecision(transaction, decision, at);
        if (decision.brake !== null)
          log("warn", `The brake of recovery was ${decision.brake.kind}: ${decision.brake.reason}`);
        for (const { node, rung, trouble } of decision.actions)
          log("warn", "recovery-action", { node: node.key, rung, trouble: trouble.kind, reason: trouble.now.reason });
      });
      for (const action of await claimActions(database, { by, leaseMs, limit: claimsAtOnce, now: now() })) {
        log("info", "recovery-action-sent", { node: action.key, rung: action.rung, attempt: action.attempt });
        const sent = send(action)
          // Its lease runs out, and it is sent again under its id.
          .catch((error: unknown) => log("error", `The outcome of an action was not noted: ${sentenceOf(error)}`))
          .finally(() => sending.delete(sent));
        sending.add(sent);
      }
    },
    async settled() {
      await Promise.all(sending);
    },
    async stop() {
      stopping.abort();
      await Promise.all(sending);
    },
  };
}

/** Returns how an action ends by what the node says; null: it is to be asked again. */
function endOf(answer: RecoverAnswer): { readonly outcome: Outcome; readonly detail: string | null } | null {
  switch (answer.kind) {
    case "done":
      return { outcome: "done", detail: null };
    case "failed":
    case "refused":
    case "unavailable":
      return { outcome: answer.kind, detail: answer.detail };
    case "later":
    case "silent":
      return null;
    default:
      return answer satisfies never;
  }
}
