import { ExplainedError } from "../infra/problem.ts";

/** How a line of the log is graded. */
type LogLevel = "info" | "warn" | "error";

/** Writes one JSON line for people and machines. Callers pass no secret: there is no filter behind this. */
export type Log = (level: LogLevel, msg: string, details?: Readonly<Record<string, unknown>>) => void;

/** Returns a log that writes one JSON object a line through `write`, with the instant of `now` (UTC) as `at`. */
export function jsonLog(write: (line: string) => void, now: () => Date): Log {
  return (level, msg, details = {}) =>
    write(`${JSON.stringify({ at: now().toISOString(), level, msg, ...details })}\n`);
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
