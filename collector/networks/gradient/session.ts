import { setTimeout as delay } from "node:timers/promises";
import type { Answer, Session, SessionDependencies } from "../adapter.ts";
import { nodeMetrics } from "../adapter.ts";
import { NetworkError, understoodOr } from "../outcome.ts";
import type { GradientAccount } from "./account.ts";
import { type Memory, memoryFile, recall, remember } from "./memory.ts";
import { parseGradient } from "./parse.ts";
import { type BrowserSession, secretsIn, visitDashboard } from "./visit.ts";

/** How patient a reader is, in milliseconds. */
export interface Pace {
  /** The least time between two readings, over restarts too. */
  readonly apartMs: number;
  /** A reading begins up to this much after its due time, at random: several collectors do not come at once. */
  readonly jitterMs: number;
  /** How long a page may take to show what it is. */
  readonly patienceMs: number;
}

const usualPace: Pace = { apartMs: 30 * 60_000, jitterMs: 15 * 60_000, patienceMs: 20_000 };
// How long the network is left alone after a 429 that names no time.
const refusedMs = 3_600_000;

/** Opens a session of a Gradient account: nothing runs between two readings, and one reading at a time. */
export function openGradient(
  account: GradientAccount,
  { now, random, stateDirectory, opener }: SessionDependencies,
  pace: Pace = usualPace,
): Session {
  const file = memoryFile(stateDirectory, account.account);
  const used = new Set<string>([account.password]);
  let refused = false;
  let busy = false;

  const refusal = (call: string, outcome: "auth" | "blocked", message: string): Answer[] => {
    const at = now();
    const failure = new NetworkError(outcome, message);
    return [{ call, startedAt: at, finishedAt: at, httpStatus: null, body: "", failure }];
  };

  /** Returns why nothing is to be asked now, as the answers to give instead; null where all is well. */
  const heldBack = (memory: Memory): readonly Answer[] | null => {
    const { stopped, leaveAloneUntil, readAt } = memory;
    if (stopped !== null && Date.parse(stopped.at) >= Date.parse(account.resumedAt ?? "1970-01-01T00:00:00Z")) {
      return refusal(
        "stopped",
        "blocked",
        `reading stopped at ${stopped.at}: ${stopped.reason}. Look at the dashboard yourself, then set resumedAt in the account file to the present time`,
      );
    }
    if (refused)
      return refusal(
        "sign-in",
        "auth",
        "the password was refused and is not tried again until the account file changes",
      );
    if (leaveAloneUntil !== null && now().getTime() < Date.parse(leaveAloneUntil)) return [];
    if (readAt !== null && now().getTime() < Date.parse(readAt) + pace.apartMs) return [];
    return null;
  };

  const readOnce = async (signal: AbortSignal): Promise<readonly Answer[]> => {
    const before = heldBack(await recall(file, opener));
    if (before !== null) return before;
    await delay(Math.floor(random() * pace.jitterMs), undefined, { signal });
    const memory: Memory = {
      ...(await recall(file, opener)),
      readAt: now().toISOString(),
      leaveAloneUntil: null,
      stopped: null,
    };
    await remember(file, memory, opener);
    const session = memory.session as BrowserSession | null;
    if (session !== null) for (const secret of secretsIn(session)) used.add(secret);
    const visit = await visitDashboard({ account, session, now, patienceMs: pace.patienceMs, signal });
    for (const token of visit.tokens) used.add(token);
    refused = visit.refused;
    const limited = visit.answers.some(({ failure }) => failure?.outcome === "rate-limited");
    const reason = reasonToStop(visit.answers);
    await remember(
      file,
      {
        ...memory,
        session: visit.session,
        leaveAloneUntil: limited ? new Date(now().getTime() + (visit.retryAfterMs ?? refusedMs)).toISOString() : null,
        stopped: reason === null ? null : { at: now().toISOString(), reason },
      },
      opener,
    );
    return visit.answers;
  };

  return {
    async read(_source, _ids, signal) {
      if (busy) return [];
      busy = true;
      try {
        return await readOnce(signal);
      } finally {
        busy = false;
      }
    },
    secrets: () => [...used],
  };
}

/** Returns why the account must not be read any more until a person looked at it; null where it may. */
function reasonToStop(answers: readonly Answer[]): string | null {
  const blocked = answers.find(({ failure }) => failure?.outcome === "blocked")?.failure;
  if (blocked) return blocked.message;
  const suspended = answers.some(
    ({ call, body, failure }) =>
      failure === null &&
      understoodOr([], () => parseGradient(call, body)).some(
        ({ metric, text }) => metric === nodeMetrics.verdict && text === "Suspended",
      ),
  );
  return suspended ? "a node is Suspended" : null;
}
