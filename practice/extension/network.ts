import type { Shown } from "./stored.ts";

/** An answer that refused a request: the envelope's code, or the HTTP status where there was no envelope. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly code: number;

  constructor(path: string, code: number, message: string) {
    super(`${path} was refused with ${code}: ${message}`);
    this.code = code;
  }
}

/** The network's answer to a heartbeat. */
export interface HeartbeatAnswer {
  readonly relayed: readonly { readonly id: string; readonly nonce: string }[];
  readonly echoed: readonly { readonly id: string; readonly echo: string }[];
  readonly offered: string | null;
  readonly shown: Shown;
}

const answerWithinMs = 20_000;

/**
 * Posts `body` to the practice network and returns the data of its answer, whose form `isData` checks.
 * Throws `Refused` for an answer that is none of success, and the browser's own error when none came in 20 s.
 */
export async function post<Data>(
  origin: string,
  path: string,
  body: unknown,
  isData: (data: unknown) => data is Data,
  token?: string,
): Promise<Data> {
  const response = await fetch(new URL(path, origin), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(answerWithinMs),
  });
  if (!(response.headers.get("content-type") ?? "").includes("json"))
    throw new Refused(path, response.status, "the answer is no JSON");
  const envelope: unknown = await response.json();
  if (!isRecord(envelope) || typeof envelope.code !== "number")
    throw new Refused(path, response.status, "the answer has no envelope");
  if (!response.ok || envelope.code !== 200)
    throw new Refused(path, response.ok ? envelope.code : response.status, String(envelope.msg));
  const data = envelope.data;
  if (!isData(data)) throw new Refused(path, response.status, "the answer has another form");
  return data;
}

/** Returns whether `value` is an object with named fields. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns a check that every one of `names` is a field with a text of at least one character. */
export function hasTexts<Name extends string>(...names: Name[]): (data: unknown) => data is Record<Name, string> {
  return (data): data is Record<Name, string> =>
    isRecord(data) && names.every((name) => typeof data[name] === "string" && data[name] !== "");
}

/** Returns whether an answer's data is that of a heartbeat. */
export function isHeartbeatAnswer(data: unknown): data is HeartbeatAnswer {
  return (
    isRecord(data) &&
    isListOf(data.relayed, hasTexts("id", "nonce")) &&
    isListOf(data.echoed, hasTexts("id", "echo")) &&
    (data.offered === null || typeof data.offered === "string") &&
    isShown(data.shown)
  );
}

function isListOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem);
}

function isShown(value: unknown): value is Shown {
  const numbers = ["taps", "uptimeMs", "units", "seasonNo", "seasonUnits", "referred"];
  return (
    hasTexts("referralCode", "ip")(value) &&
    numbers.every((name) => Number.isFinite((value as Record<string, unknown>)[name]))
  );
}
