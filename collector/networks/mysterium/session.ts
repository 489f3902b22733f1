import type { Answer, Session, SessionDependencies } from "../adapter.ts";
import { askerOf } from "../http.ts";
import { objectAt, parseLossless, textAt } from "../lossless.ts";
import { errorOfStatus, NetworkError, understoodOr } from "../outcome.ts";
import type { MysteriumAccount } from "./account.ts";
import { listedIdentities } from "./parse.ts";

// The node itself keeps what it asks of the central quality service for 10 minutes.
const refusedMs = 600_000;
// Rows of a past day are completed when their sessions end.
const revisedDays = 3;
const dayMs = 86_400_000;

const nodeCalls = [
  "healthcheck",
  "services",
  "nat/type",
  "node/monitoring-status",
  "node/provider/quality",
  "node/provider/activity-stats",
] as const;

/** Opens a session with a Mysterium node: signs in where the account says so, and only ever reads. */
export function openMysterium(account: MysteriumAccount, { fetch, now }: SessionDependencies): Session {
  const { signIn } = account;
  const used = new Set<string>(signIn === undefined ? [] : [signIn.password]);
  let token: string | null = null;
  const asker = askerOf({
    fetch,
    now,
    refusedMs,
    errorOf(response, body) {
      const type = response.headers.get("content-type") ?? "";
      if (response.status === 401 && signIn === undefined) {
        return new NetworkError("auth", "HTTP 401: this address asks for a sign-in; give signIn in the account file");
      }
      if (response.status === 403) {
        return new NetworkError("blocked", "HTTP 403: the node takes no Host but an IP address or localhost");
      }
      const error = errorOfStatus(response.status);
      if (error !== null) return withCode(error, body);
      return /^application\/(?:[\w.-]+\+)?json\b/.test(type)
        ? null
        : new NetworkError("shape", `the answer is ${type.slice(0, 60) || "of no type"} and no JSON`);
    },
  });

  const base = account.origin.replace(/\/*$/, "/");
  const send = (call: string, signal: AbortSignal): Promise<Answer> =>
    asker.ask({
      call,
      url: new URL(call.split("#")[0] ?? call, base),
      method: "GET",
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      signal,
    });

  const authenticate = async (signal: AbortSignal): Promise<Answer | null> => {
    token = null;
    const url = new URL("auth/authenticate", base);
    const answer = await asker.ask({ call: "auth/authenticate", url, method: "POST", body: signIn, signal });
    if (answer.failure !== null) return answer;
    try {
      token = textAt(objectAt(parseLossless(answer.body), "the answer").token, "token");
      used.add(token);
      return null;
    } catch (error) {
      // What a sign-in answers is a secret in whatever form it comes.
      if (error instanceof NetworkError) return { ...answer, body: "", failure: error };
      throw error;
    }
  };

  const ask = async (call: string, signal: AbortSignal): Promise<Answer> => {
    if (signIn !== undefined && token === null) {
      const refused = await authenticate(signal);
      if (refused !== null) return refused;
    }
    const answer = await send(call, signal);
    if (answer.failure?.outcome !== "auth" || signIn === undefined) return answer;
    return (await authenticate(signal)) ?? send(call, signal);
  };

  /** Asks one after the other. One that fails by itself does not keep the others from being asked. */
  const askAll = async (calls: readonly string[], signal: AbortSignal): Promise<Answer[]> => {
    const answers: Answer[] = [];
    for (const call of calls) {
      const answer = await ask(call, signal);
      answers.push(answer);
      if (endsReading(answer)) break;
    }
    return answers;
  };

  return {
    async read(source, _ids, signal, since = null) {
      if (asker.leftAlone()) return [];
      const identities = await ask("identities", signal);
      const listed = identities.failure === null ? understoodOr(null, () => listedIdentities(identities.body)) : null;
      if (listed === null) return [identities];
      const own = account.identity === undefined ? listed : listed.filter((id) => sameIdentity(id, account.identity));
      // Which of several identities the node's own answers are about, the node does not say.
      const about = own.length === 1 ? `#${own[0]}` : "";
      if (source === "days") {
        const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
        const to = now().getTime();
        const from = Math.min(since?.getTime() ?? to, to - revisedDays * dayMs);
        const series = `sessions/stats-daily?date_from=${day(from)}&date_to=${day(to)}`;
        const calls = [series, "node/provider/service-earnings", "terms"].map((call) => `${call}${about}`);
        return [identities, ...(await askAll(calls, signal))];
      }
      const calls = [...own.map((id) => `identities/${id}`), ...nodeCalls.map((call) => `${call}${about}`)];
      return [identities, ...(await askAll(calls, signal))];
    },
    secrets: () => [...used],
  };
}

function sameIdentity(one: string, other: string | undefined): boolean {
  return one.toLowerCase() === other?.toLowerCase();
}

function endsReading({ failure, httpStatus }: Answer): boolean {
  if (failure === null) return false;
  return httpStatus === null || ["auth", "blocked", "rate-limited"].includes(failure.outcome);
}

/** The node's error documents are `{error: {code, message}, status, path}`; the code says more than the status. */
function withCode(error: NetworkError, body: string): NetworkError {
  const code = understoodOr(null, () =>
    textAt(objectAt(objectAt(parseLossless(body), "the answer").error, "error").code, "error.code"),
  );
  return code === null ? error : new NetworkError(error.outcome, `${error.message}: ${code}`);
}
