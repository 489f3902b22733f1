import type { Answer } from "./adapter.ts";
import { errorOfStatus, NetworkError } from "./outcome.ts";

/** What one HTTP call needs to be asked. */
export interface Call {
  /** Names the call in its reading. */
  readonly call: string;
  readonly url: URL;
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal: AbortSignal;
}

/** Asks a network by HTTP, one call after another, and keeps the pauses that it asks for. */
export interface Asker {
  /** Returns the answer, whatever it is: what the network did never throws. */
  ask(call: Call): Promise<Answer>;
  /** Whether the network refused us and the pause it asked for, or ours where it named none, is not over. */
  leftAlone(): boolean;
}

/** What an asker depends on. */
export interface AskerSetting {
  readonly fetch: typeof globalThis.fetch;
  readonly now: () => Date;
  /** How long the network is left alone after it refused us, in milliseconds, where it does not say itself. */
  readonly refusedMs: number;
  /** Returns the error of an answer that is not a success; null where its body is worth parsing. */
  readonly errorOf?: (response: Response, body: string) => NetworkError | null;
}

const callMs = 10_000;
const largestBody = 8 * 1024 * 1024;

/** Returns an asker. It follows no redirect, waits 10 s for an answer and reads at most 8 MiB of it. */
export function askerOf({ fetch, now, refusedMs, errorOf }: AskerSetting): Asker {
  let leaveAloneUntil = 0;
  return {
    leftAlone: () => now().getTime() < leaveAloneUntil,
    async ask({ call, url, method, headers = {}, body, signal }) {
      const startedAt = now();
      const done = (httpStatus: number | null, text: string, failure: NetworkError | null): Answer => ({
        call,
        startedAt,
        finishedAt: now(),
        httpStatus,
        body: text,
        failure,
      });
      let status: number | null = null;
      try {
        const response = await fetch(url, {
          method,
          redirect: "manual",
          signal: AbortSignal.any([signal, AbortSignal.timeout(callMs)]),
          headers: {
            accept: "application/json",
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...headers,
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        ({ status } = response);
        const text = await textOf(response);
        const failure = errorOf?.(response, text) ?? errorOfStatus(status);
        if (failure?.outcome === "rate-limited" || failure?.outcome === "blocked") {
          leaveAloneUntil = now().getTime() + (retryAfterMs(response.headers.get("retry-after"), now()) ?? refusedMs);
        }
        return done(status, text, failure);
      } catch (error) {
        if (error instanceof NetworkError) return done(status, "", error);
        return done(
          status,
          "",
          new NetworkError("transient", `no answer: ${causeOf(error, callMs)}`, { cause: error }),
        );
      }
    },
  };
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > largestBody) throw new NetworkError("shape", `the answer is longer than ${largestBody} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Returns the wait in milliseconds that a Retry-After header asks for (RFC 9110: seconds or a date), at most a day. */
export function retryAfterMs(header: string | null, now: Date): number | null {
  if (header === null) return null;
  const asked = /^[0-9]+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now.getTime();
  return Number.isFinite(asked) ? Math.min(Math.max(asked, 0), 86_400_000) : null;
}

/** Returns why a call that waited at most `ms` milliseconds was not answered: the system's code, or what was said. */
export function causeOf(error: unknown, ms: number): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (error.name === "TimeoutError") return `none within ${ms / 1000} s`;
  return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : error.message;
}
