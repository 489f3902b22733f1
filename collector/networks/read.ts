import type { ReadingOutcome } from "../api/types.ts";
import type { Opener } from "../credentials.ts";
import type { Log } from "../log.ts";
import { cronOf } from "../schedule/cron.ts";
import type { DueRun, Job, RunEnd } from "../schedule/jobs.ts";
import type { Schedule } from "../schedule/schedule.ts";
import { beginUnread, endUnread, lastUnderstood } from "../store/absence.ts";
import type { Database } from "../store/database.ts";
import { type AccountKey, knowAccount, storeAnswers, tiedNodeIds, type UnderstoodAnswer } from "../store/readings.ts";
import { type AccountFile, type Adapter, type Answer, type Session, understand } from "./adapter.ts";
import { redactReading } from "./redaction.ts";

/** What reading an account needs of the world. */
export interface ReadDependencies {
  readonly database: Database;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly now: () => Date;
  readonly fetch: typeof globalThis.fetch;
  readonly random: () => number;
  /** Where sessions keep what they have to remember; holds secrets. */
  readonly stateDirectory: string;
  /** Replaces the adapter's own schedule of what its nodes are read by; null: the adapter's own. */
  readonly readCron: string | null;
  /** How account files and what sessions remember are opened and written. */
  readonly opener: Opener;
  /** Is given what asks an account's session for the words that may never be logged; returns what ends that. */
  readonly knowSecrets?: (words: () => readonly string[]) => () => void;
  /** Hears of every answer, once it is understood or not. */
  readonly countReading?: (network: string, outcome: ReadingOutcome) => void;
}

/** An account that is being read on its schedule, until `stop`. */
export interface AccountReader {
  readonly key: AccountKey;
  /** Looks whether the last understood answer is too old to stand for the present. */
  watchAbsence(): Promise<void>;
  /** Ends the reading; with `left`, the account is no longer to be read at all, and nothing of it is due from now on. */
  stop(left: boolean): Promise<void>;
}

// Readings that may fail in a row before what they told counts as unknown.
const missedReadings = 3;

/** Opens a session of the account and schedules a job for each of the adapter's sources. */
export async function readAccountOnSchedule(
  adapter: Adapter,
  account: AccountFile,
  dependencies: ReadDependencies,
): Promise<AccountReader> {
  const { database, log, now, fetch, random, stateDirectory, readCron, schedule, opener, knowSecrets, countReading } =
    dependencies;
  const key: AccountKey = { network: account.network, account: account.account };
  await knowAccount(database, key, account.label, adapter.practice);
  const session = adapter.open(account, { fetch, now, random, stateDirectory, opener });
  const forgetSecrets = knowSecrets?.(() => session.secrets());
  const startedAt = now();
  const nodesSource = adapter.sources.find((source) => source.nodesCall !== null);
  let heardAt = nodesSource?.nodesCall ? await lastUnderstood(database, key, nodesSource.nodesCall) : null;
  let trouble: string | null = null;
  let unread = false;

  const cronOfSource = (source: Adapter["sources"][number]): string =>
    source.nodesCall === null ? source.cron : (readCron ?? source.cron);
  const jobs: Job[] = adapter.sources.map((source) => {
    return {
      name: `${key.network}/${key.account}/${source.name}`,
      cron: cronOfSource(source),
      reachMs: (source.reachDays ?? 0) * 86_400_000,
      async run({ since, signal }: DueRun): Promise<RunEnd> {
        const answers = await session.read(source.name, await tiedNodeIds(database, key.network), signal, since);
        signal.throwIfAborted();
        if (answers.length === 0) return { outcome: "left alone" };
        const understood = answers.map((answer) => understandAnswer(adapter, session, answer));
        for (const { outcome } of understood) countReading?.(key.network, outcome);
        const failed = understood.find(({ outcome }) => outcome !== "ok");
        tell(failed);
        const telling = understood.filter(
          ({ answer }) => source.nodesCall !== null && answer.call.startsWith(source.nodesCall),
        );
        const heardNow = telling.every(({ outcome }) => outcome === "ok") ? (telling[0]?.answer ?? null) : null;
        if (heardNow !== null) {
          heardAt = heardNow.finishedAt;
          unread = false;
        }
        return {
          outcome: failed?.outcome ?? "ok",
          reason: failed === undefined ? null : `${failed.answer.call}: ${failed.reason}`.slice(0, 500),
          async record(transaction) {
            if (heardNow !== null) await endUnread(transaction, key, heardNow.startedAt);
            await storeAnswers(transaction, key, adapter, adapter.stallMs(account), understood, now());
          },
        };
      },
    };
  });

  const tell = (failed: UnderstoodAnswer | undefined): void => {
    const sentence = failed === undefined ? null : `${failed.answer.call}: ${failed.outcome}, ${failed.reason}`;
    if (sentence !== null && sentence !== trouble) {
      log("warn", `${key.network}/${key.account} was not read in full: ${sentence}`, { account: key.account });
    }
    if (sentence === null && trouble !== null) log("info", "account-read-again", { ...key });
    trouble = sentence;
  };

  const periodMs = nodesSource === undefined ? 0 : periodOf(cronOfSource(nodesSource), startedAt);
  for (const job of jobs) await schedule.add(job);
  return {
    key,
    async watchAbsence() {
      if (unread || heardAt === null) return;
      const from = new Date(heardAt.getTime() + missedReadings * periodMs);
      if (now().getTime() < from.getTime()) return;
      unread = true;
      const away = startedAt.getTime() > heardAt.getTime();
      await beginUnread(
        database,
        key,
        heardAt,
        from,
        trouble ?? (away ? "the collector was away" : "no answer"),
        now(),
      );
    },
    async stop(left) {
      for (const { name } of jobs) await schedule.leave(name, left);
      forgetSecrets?.();
    },
  };
}

/** Returns the distance of the two due times after `at`, in milliseconds. */
function periodOf(expression: string, at: Date): number {
  const cron = cronOf(expression);
  const first = cron.next(at);
  return cron.next(first).getTime() - first.getTime();
}

/**
 * Redacts before anything is understood, hashed or stored: a fact is a copy of what the reading holds, and parsing the
 * stored bytes again finds the same. The words of a failure are redacted too, because they may quote the answer.
 */
export function understandAnswer(adapter: Adapter, session: Session, answer: Answer): UnderstoodAnswer {
  const secrets = session.secrets();
  const body = redactReading(answer.body, secrets);
  const { outcome, reason, facts } = understand(adapter, { ...answer, body });
  return {
    answer,
    body,
    outcome,
    reason: reason === null ? null : redactReading(reason, secrets).slice(0, 500),
    facts,
  };
}
