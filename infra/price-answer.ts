import { retryAfterMs } from "../collector/networks/http.ts";
import type { Ask } from "./price-list.ts";
import { ExplainedError } from "./problem.ts";

/** What asking needs of the world. */
export interface Asking {
  readonly fetch: typeof globalThis.fetch;
  sleep(ms: number): Promise<void>;
  now(): Date;
}

const tries = 4;
const answerMs = 30_000;
/** The longest wait that a list may ask for between two tries; and the first of our own, doubled at each. */
const longestWaitMs = 60_000;
const firstWaitMs = 2_000;

/**
 * Returns a function that asks an address for JSON. One that is asked too often or is down for a moment (429, 503) is
 * asked again, at most four times, after the wait that it names. Throws `no-price-list` with the host, what was wrong, and what
 * to do, where it is not reached, refuses, or answers with something else than JSON.
 */
export function askerOf({ fetch, sleep, now }: Asking): Ask {
  return async (address) => {
    const { host } = new URL(address);
    const failed = (what: string, fix: string, cause?: unknown): ExplainedError =>
      new ExplainedError("no-price-list", `${host} ${what}. No ledger was changed.`, fix, { cause });
    for (let attempt = 1; ; attempt++) {
      let response: Response;
      let text: string;
      try {
        response = await fetch(address, {
          headers: { accept: "application/json" },
          signal: AbortSignal.timeout(answerMs),
        });
        text = await response.text();
      } catch (error) {
        const why =
          error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : error;
        throw failed(`could not be reached (${String(why)})`, "Run it again where there is a network.", error);
      }
      if (response.status === 429 || response.status === 503) {
        const wait = retryAfterMs(response.headers.get("retry-after"), now()) ?? firstWaitMs * 2 ** (attempt - 1);
        if (attempt === tries || wait > longestWaitMs)
          throw failed(
            `answered ${response.status} and is to be asked again in ${Math.ceil(wait / 1000)} s`,
            "Run it again later.",
          );
        await sleep(wait);
        continue;
      }
      if (!response.ok) throw failed(`answered ${response.status}`, "Run it again later.");
      try {
        return JSON.parse(text);
      } catch (error) {
        throw failed(
          `answered with something that is not JSON: ${JSON.stringify(text.slice(0, 40))}`,
          "Look at the address in a browser; a network's log-in page may stand before it.",
          error,
        );
      }
    }
  };
}
