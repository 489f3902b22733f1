import { ExplainedError } from "../infra/problem.ts";

/** How a line of the log is graded, the least first. */
export const logLevels = ["info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Writes one JSON line for people and machines. */
export type Log = (level: LogLevel, msg: string, details?: Readonly<Record<string, unknown>>) => void;

/** How lines are written. */
export interface LogSetting {
  /** What is graded less is not written. */
  readonly least?: LogLevel;
  /** Puts each line's syslog priority before it, as the systemd journal reads it. */
  readonly priorities?: boolean;
  /** Returns a text or a tree of them without secrets. */
  readonly redact?: <Value>(value: Value) => Value;
}

const priorities: Readonly<Record<LogLevel, number>> = { info: 6, warn: 4, error: 3 };

/** Returns a log that writes one JSON object a line through `write`, with the instant of `now` (UTC) as `at`. */
export function jsonLog(write: (line: string) => void, now: () => Date, setting: LogSetting = {}): Log {
  const { least = "info", priorities: prefixed = false, redact = (value) => value } = setting;
  return (level, msg, details = {}) => {
    if (logLevels.indexOf(level) < logLevels.indexOf(least)) return;
    const line = JSON.stringify({ at: now().toISOString(), level, msg: redact(msg), ...redact(details) });
    write(`${prefixed ? `<${priorities[level]}>` : ""}${line}\n`);
  };
}

/**
 * Returns whether the systemd journal reads what is written to the file with this device and inode: systemd names them
 * in JOURNAL_STREAM (systemd.exec(5)).
 */
export function readByJournal(stream: string | undefined, { dev, ino }: { dev: number; ino: number }): boolean {
  return stream === `${dev}:${ino}`;
}

/** Returns what `error` says in one line, for a log or a reading's reason; never a stack. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.message}${cause}`.replaceAll(/\s*\n\s*/g, " ");
}

/** Returns the code and the fix of an error that explains itself, as details of a log line; nothing of any other. */
export function explanationOf(error: unknown): { readonly code?: string; readonly fix?: string } {
  return error instanceof ExplainedError ? { code: error.code, fix: error.fix } : {};
}
