import type { Answer, Session, SessionDependencies } from "../adapter.ts";
import { askerOf } from "../http.ts";
import { objectAt, parseLossless, textAt } from "../lossless.ts";
import { NetworkError, understoodOr } from "../outcome.ts";
import type { PracticeAccount } from "./account.ts";
import { listedIds, networkTime } from "./parse.ts";

const pageSize = 100;
const seriesMs = 3 * 86_400_000;
// How long the network is left alone after it refused us, where it does not say itself.
const refusedMs = 60_000;

/** Opens a session of a practice account: signs in with the account file when it has to, and asks politely. */
export function openPractice(account: PracticeAccount, { fetch, now }: SessionDependencies): Session {
  let token: string | null = null;
  const used = new Set<string>([account.password]);
  const asker = askerOf({ fetch, now, refusedMs });

  const send = (call: string, path: string, body: unknown, signal: AbortSignal): Promise<Answer> =>
    asker.ask({
      call,
      url: new URL(path, account.origin),
      method: body === null ? "GET" : "POST",
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      ...(body === null ? {} : { body }),
      signal,
    });

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
      const found = answer.failure === null ? understoodOr(null, () => listedIds(answer.body)) : null;
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

  const readDays = async (ids: readonly string[], signal: AbortSignal, since: Date | null): Promise<Answer[]> => {
    // The network's days are those of its own clock, which runs faster than ours.
    const status = await send("status", "/api/status", null, signal);
    const end = status.failure === null ? understoodOr(null, () => networkTime(status.body)) : null;
    if (end === null) return [status];
    const answers = [status];
    // How far its clock was then cannot be known: days that were missed are asked for from its beginning.
    const series = { start: since === null ? Math.max(0, end - seriesMs) : 0, end, type: "DAY" };
    for (const call of ["point/stats", ...ids.map((id) => `sentrynode/stats/${encodeURIComponent(id)}`)]) {
      const answer = await ask(call, series, signal);
      answers.push(answer);
      if (failed(answer)) return answers;
    }
    return answers;
  };

  return {
    async read(source, ids, signal, since = null) {
      if (asker.leftAlone()) return [];
      return source === "days" ? readDays(ids, signal, since) : readNodes(ids, signal);
    },
    secrets: () => [...used],
  };
}

function failed(answer: Answer): boolean {
  return answer.failure !== null;
}
