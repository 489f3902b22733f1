import type { Log } from "../log.ts";
import { type ScheduledJob, scheduleJob } from "../schedule/jobs.ts";
import { beginUnread, endUnread, lastUnderstood } from "../store/absence.ts";
import type { Database } from "../store/database.ts";
import { type AccountKey, knowAccount, storeAnswers, tiedNodeIds, type UnderstoodAnswer } from "../store/readings.ts";
import { type AccountFile, type Adapter, type Answer, type Session, understand } from "./adapter.ts";
import { redactReading } from "./redaction.ts";

/** What reading an account needs of the world. */
export interface ReadDependencies {
  readonly database: Database;
  readonly log: Log;
  readonly now: () => Date;
  readonly fetch: typeof globalThis.fetch;
  /** Replaces the adapter's own schedule of what its nodes are read by; null: the adapter's own. */
  readonly readCron: string | null;
}

/** An account that is being read on its schedule, until `stop`. */
export interface AccountReader {
  readonly key: AccountKey;
  /** Looks whether the last understood answer is too old to stand for the present. */
  watchAbsence(): Promise<void>;
  stop(): Promise<void>;
}

// Readings that may fail in a row before what they told counts as unknown.
const missedReadings = 3;

/** Opens a session of the account and schedules a job for each of the adapter's sources. */
export async function readAccountOnSchedule(
  adapter: Adapter,
  account: AccountFile,
  dependencies: ReadDependencies,
): Promise<AccountReader> {
  const { database, log, now, fetch, readCron } = dependencies;
  const key: AccountKey = { network: account.network, account: account.account };
  await knowAccount(database, key, account.label, adapter.practice);
  const session = adapter.open(account, { fetch, now });
  const startedAt = now();
  const nodesSource = adapter.sources.find((source) => source.nodesCall !== null);
  let heardAt = nodesSource?.nodesCall ? await lastUnderstood(database, key, nodesSource.nodesCall) : null;
  let trouble: string | null = null;
  let unread = false;

  const jobs = new Map<string, ScheduledJob>();
  for (const source of adapter.sources) {
    const job = {
      name: `${key.network}/${key.account}/${source.name}`,
      cron: source.nodesCall === null ? source.cron : (readCron ?? source.cron),
      async run(signal: AbortSignal): Promise<string> {
        const answers = await session.read(source.name, await tiedNodeIds(database, key.network), signal);
        signal.throwIfAborted();
        if (answers.length === 0) return "left alone";
        const understood = answers.map((answer) => understandAnswer(adapter, session, answer));
        await storeAnswers(database, key, adapter, adapter.stallMs(account), understood, now());
        const failed = understood.find(({ outcome }) => outcome !== "ok");
        tell(failed);
        const telling = understood.filter(
          ({ answer }) => source.nodesCall !== null && answer.call.startsWith(source.nodesCall),
        );
        const [heard] = telling;
        if (heard !== undefined && telling.every(({ outcome }) => outcome === "ok")) {
          heardAt = heard.answer.finishedAt;
          unread = false;
          await endUnread(database, key, heard.answer.startedAt);
        }
        return failed?.outcome ?? "ok";
      },
    };
    jobs.set(source.name, scheduleJob(job, database, log, now));
  }

  const tell = (failed: UnderstoodAnswer | undefined): void => {
    const sentence = failed === undefined ? null : `${failed.answer.call}: ${failed.outcome}, ${failed.reason}`;
    if (sentence !== null && sentence !== trouble) {
      log("warn", `${key.network}/${key.account} was not read in full: ${sentence}`, { account: key.account });
    }
    if (sentence === null && trouble !== null) log("info", "account-read-again", { ...key });
    trouble = sentence;
  };

  const periodMs = (nodesSource === undefined ? undefined : jobs.get(nodesSource.name))?.periodMs ?? 0;
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
    async stop() {
      await Promise.all([...jobs.values()].map((job) => job.stop()));
    },
  };
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
