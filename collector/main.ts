import { fstatSync } from "node:fs";
import { ExplainedError } from "../infra/problem.ts";
import { type Collector, startCollector } from "./collector.ts";
import { type Config, readConfig } from "./config.ts";
import { jsonLog, type Log, type LogLevel, readByJournal, sentenceOf } from "./log.ts";
import { openSecrets } from "./secrets.ts";

const stopDeadlineMs = 4_000;

/**
 * Runs the collector until it is told to stop: by SIGINT, SIGTERM, or the end of the process that started it with an IPC
 * channel. Returns the exit code: 0 stopped, 1 failed, 2 bad input.
 */
export async function main(environment: NodeJS.ProcessEnv = process.env): Promise<number> {
  const secrets = openSecrets();
  const setting = {
    priorities: readByJournal(environment.JOURNAL_STREAM, fstatSync(process.stdout.fd)),
    redact: secrets.without,
  };
  const logFrom = (least: LogLevel): Log =>
    jsonLog(
      (line) => process.stdout.write(line),
      () => new Date(),
      { ...setting, least },
    );
  let config: Config;
  try {
    config = readConfig(environment);
  } catch (error) {
    return explain(error, logFrom("error"));
  }
  const log = logFrom(config.logLevel);
  const asked = stopAsked();
  let collector: Collector;
  try {
    const started = startCollector(config, log, secrets);
    const first = await Promise.race([started, asked.then(() => null)]);
    if (first === null) {
      // Told to stop while starting: what was begun is ended as soon as the start is through.
      setTimeout(() => process.exit(0), stopDeadlineMs).unref();
      await (await started).stop();
      return 0;
    }
    collector = first;
  } catch (error) {
    return explain(error, log);
  }
  log("info", "ready", { url: collector.url });
  process.send?.({ ready: true, url: collector.url });
  const broken = await Promise.race([asked, collector.broken]);
  if (broken !== null) log("error", broken);
  // A part that hangs must not keep the collector from ending: everything that matters is in committed transactions.
  setTimeout(() => {
    log("warn", "The collector did not end in time and is ended now.");
    process.exit(broken === null ? 0 : 1);
  }, stopDeadlineMs).unref();
  await collector.stop();
  log("info", "stopped");
  return broken === null ? 0 : 1;
}

/** Settles with null when somebody wants the collector to stop. */
function stopAsked(): Promise<null> {
  return new Promise((resolve) => {
    const stop = (): void => resolve(null);
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
    // Without its parent nobody would ever stop it.
    if (process.connected) process.once("disconnect", stop);
  });
}

function explain(error: unknown, log: Log): number {
  if (error instanceof ExplainedError) {
    log("error", error.message, { code: error.code, fix: error.fix });
    return error.code === "bad-input" ? 2 : 1;
  }
  log("error", sentenceOf(error), { stack: error instanceof Error ? error.stack : undefined });
  return 1;
}

if (import.meta.main) {
  const code = await main();
  if (process.connected) process.disconnect();
  process.exitCode = code;
}
