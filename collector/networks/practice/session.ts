import type { AccountFile, Answer, Session, SessionDependencies } from "../adapter.ts";
import { objectAt, parseLossless, textAt } from "../lossless.ts";
import { errorOfStatus, NetworkError } from "../outcome.ts";
import { listedIds, networkTime } from "./parse.ts";

const callMs = 10_000;
const largestBody = 8 * 1024 * 1024;
const pageSize = 100;
const seriesMs = 3 * 86_400_000;
// How long the network is left alone after it refused us, where it does not say itself.
const refusedMs = 60_000;

/** Opens a session of a practice account: signs in with the account file when it has to, and asks politely. */
export function openPractice(account: AccountFile, { fetch, now }: SessionDependencies): Session {
  let token: string | null = null;
  const used = new Set<string>([account.password]);
  let leaveAloneUntil = 0;

  const send = async (call: string, path: string, body: unknown, signal: AbortSignal): Promise<Answer> => {
    const startedAt = now();
    const done = (httpStatus: number | null, text: string, failure: NetworkError | null): Answer => ({
      call,
      startedAt,
      finishedAt: now(),
      httpStatus,
      body: text,
      failure,
    });
    try {
      const response = await fetch(new URL(path, account.origin), {
        method: body === null ? "GET" : "POST",
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(callMs)]),
        headers: {
          accept: "application/json",
          ...(body === null ? {} : { "content-type": "application/json" }),
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
      });
      const text = await textOf(response);
      const failure = errorOfStatus(response.status);
      if (failure?.outcome === "rate-limited" || failure?.outcome === "blocked") {
        leaveAloneUntil = now().getTime() + (retryAfterMs(response.headers.get("retry-after"), now()) ?? refusedMs);
      }
      return done(response.status, text, failure);
    } catch (error) {
      if (error instanceof NetworkError) return done(null, "", error);
      return done(null, "", new NetworkError("transient", `no answer: ${causeOf(error)}`, { cause: error }));
    }
  };

  const signIn = async (signal: AbortSignal): Promise<Answer | null> => {
    token = null;
    const { email, password } = account;
    const answer = await send("practice/sign-in", "/practice/sign-in", { email, password }, signal);
    if (answer.failure !== null) return answer;
    try {
      const envelope = objectAt(parseLossless(answer.body), "the answer");
      const data = objectAt(envelope.data, "data");
      token = textAt(data.token, "data.token");
      used.add(token);
      if (typeof data.refresh === "string") used.add(data.refresh);
      return null;
    } catch (error) {
      if (error instanceof NetworkError) return { ...answer, failure: error };
      throw error;
    }
  };

  /** Asks once more with a new session where the old one is no longer good. */
  const ask = async (call: string, body: unknown, signal: AbortSignal): Promise<Answer> => {
    if (token === null) {
      const refused = await signIn(signal);
      if (refused !== null) return refused;
    }
    const answer = await send(call, `/api/${call}`, body, signal);
    if (answer.failure?.outcome !== "auth") return answer;
    const refused = await signIn(signal);
    if (refused !== null) return refused;
    return send(call, `/api/${call}`, body, signal);
  };

  const readNodes = async (ids: readonly string[], signal: AbortSignal): Promise<Answer[]> => {
    const answers = [await ask("user/profile", {}, signal)];
    if (answers.some(failed)) return answers;
    const listed = new Set<string>();
    for (let page = 1; ; page++) {
      const body = { page, size: pageSize, field: "active", direction: 0, active: "", banned: "" };
      const answer = await ask(`sentrynode/list?page=${page}`, body, signal);
      answers.push(answer);
      const found = answer.failure === null ? idsIn(answer.body) : null;
      // A page that failed or has another form is stored; what follows it cannot be asked for.
      if (found === null) return answers;
      const fresh = found.filter((id) => !listed.has(id));
      for (const id of fresh) listed.add(id);
      if (found.length < pageSize || fresh.length === 0) break;
    }
    for (const id of ids.filter((wanted) => !listed.has(wanted))) {
      const answer = await ask(`sentrynode/get/${encodeURIComponent(id)}`, null, signal);
      answers.push(answer);
      if (failed(answer)) return answers;
    }
    return answers;
  };

  const readDays = async (ids: readonly string[], signal: AbortSignal): Promise<Answer[]> => {
    // The network's days are those of its own clock, which runs faster than ours.
    const status = await send("status", "/api/status", null, signal);
    const end = status.failure === null ? timeIn(status.body) : null;
    if (end === null) return [status];
    const answers = [status];
    const series = { start: Math.max(0, end - seriesMs), end, type: "DAY" };
    for (const call of ["point/stats", ...ids.map((id) => `sentrynode/stats/${encodeURIComponent(id)}`)]) {
      const answer = await ask(call, series, signal);
      answers.push(answer);
      if (failed(answer)) return answers;
    }
    return answers;
  };

  return {
    async read(source, ids, signal) {
      if (now().getTime() < leaveAloneUntil) return [];
      return source === "days" ? readDays(ids, signal) : readNodes(ids, signal);
    },
    secrets: () => [...used],
  };
}

function failed(answer: Answer): boolean {
  return answer.failure !== null;
}

function idsIn(body: string): readonly string[] | null {
  return ifUnderstood(() => listedIds(body));
}

function timeIn(body: string): number | null {
  return ifUnderstood(() => networkTime(body));
}

/** The answer itself is stored either way; the parser says then what is wrong with it. */
function ifUnderstood<Value>(read: () => Value): Value | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof NetworkError) return null;
    throw error;
  }
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

/** Returns the wait that a Retry-After header asks for (RFC 9110: seconds or a date), at most a day. */
function retryAfterMs(header: string | null, now: Date): number | null {
  if (header === null) return null;
  const asked = /^[0-9]+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now.getTime();
  return Number.isFinite(asked) ? Math.min(Math.max(asked, 0), 86_400_000) : null;
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (error.name === "TimeoutError") return `none within ${callMs / 1000} s`;
  return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : error.message;
}
