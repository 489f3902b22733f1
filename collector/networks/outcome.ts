import type { ReadingOutcome } from "../api/types.ts";

/** Why a reading holds no facts: the network's fault or ours, typed. */
export class NetworkError extends Error {
  override readonly name = "NetworkError";
  readonly outcome: Exclude<ReadingOutcome, "ok">;

  constructor(outcome: Exclude<ReadingOutcome, "ok">, message: string, options?: ErrorOptions) {
    super(message, options);
    this.outcome = outcome;
  }
}

/** Returns the error that an HTTP status stands for; null for a status whose body is worth parsing. */
export function errorOfStatus(status: number): NetworkError | null {
  if (status >= 200 && status < 300) return null;
  if (status === 401) return new NetworkError("auth", "HTTP 401: not signed in");
  if (status === 403 || status === 451) return new NetworkError("blocked", `HTTP ${status}: refused`);
  if (status === 429) return new NetworkError("rate-limited", "HTTP 429: too many requests");
  if (status === 408 || status === 425 || status >= 500) return new NetworkError("transient", `HTTP ${status}`);
  return new NetworkError("unknown", `HTTP ${status}`);
}

/** Returns what `read` returns, or `otherwise` where it finds an answer of another form; the parser says then what is wrong. */
export function understoodOr<Value, Otherwise>(otherwise: Otherwise, read: () => Value): Value | Otherwise {
  try {
    return read();
  } catch (error) {
    if (error instanceof NetworkError) return otherwise;
    throw error;
  }
}
