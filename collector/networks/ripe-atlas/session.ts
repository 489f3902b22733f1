import type { Answer, Session, SessionDependencies } from "../adapter.ts";
import { askerOf } from "../http.ts";
import { objectAt, parseLossless, textAt } from "../lossless.ts";
import { errorOfStatus, NetworkError, understoodOr } from "../outcome.ts";
import type { RipeAtlasAccount } from "./account.ts";
import { nextPage, parseRipeAtlas } from "./parse.ts";

// The network does not publish its limits and asks not to be polled tightly.
const refusedMs = 3_600_000;
// Keeps an address under 2,000 characters.
const idsInOneCall = 200;
const mostPages = 20;

/** Opens a session with RIPE Atlas: public reads, and with a key the account's own probes and credits. */
export function openRipeAtlas(account: RipeAtlasAccount, { fetch, now }: SessionDependencies): Session {
  const { apiKey } = account;
  const asker = askerOf({
    fetch,
    now,
    refusedMs,
    errorOf({ status, headers }, body) {
      const error = errorOfStatus(status);
      if (error === null) return null;
      const json = (headers.get("content-type") ?? "").includes("json");
      // A key that is wrong, expired or too weak gets 403 and a document of the API's own.
      const outcome = status === 403 && json && apiKey !== undefined ? "auth" : error.outcome;
      return new NetworkError(outcome, `${error.message}${detailOf(body)}`);
    },
  });
  const base = new URL("/api/v2/", account.origin);
  const send = (call: string, url: URL, signal: AbortSignal): Promise<Answer> =>
    asker.ask({
      call,
      url,
      method: "GET",
      headers: apiKey === undefined ? {} : { authorization: `Key ${apiKey}` },
      signal,
    });

  /** Asks for a list and follows its pages, as far as they are understood and lead to the same list. */
  const list = async (first: string, asked: string, signal: AbortSignal): Promise<Answer[]> => {
    const answers: Answer[] = [];
    const seen = new Set<string>();
    let url: URL | null = new URL(first, base);
    while (url !== null && !seen.has(url.href) && answers.length < mostPages) {
      seen.add(url.href);
      const call = `${url.pathname.slice(base.pathname.length)}${url.search}${asked}`;
      const answer = await send(call, url, signal);
      answers.push(answer);
      if (answer.failure !== null || understoodOr(null, () => parseRipeAtlas(call, answer.body)) === null) break;
      const next = nextPage(answer.body);
      if (next === null) break;
      url = sameList(url, next);
      if (url === null || seen.has(url.href)) {
        const failure = new NetworkError("shape", `the next page is ${next.slice(0, 200)}, which is none of this list`);
        answers[answers.length - 1] = { ...answer, failure };
      }
    }
    return answers;
  };

  const readProbes = async (ids: readonly string[], signal: AbortSignal): Promise<Answer[]> => {
    const own = ids.filter((id) => /^[1-9][0-9]{0,15}$/.test(id));
    const wanted = [...new Set([...account.probes.map(String), ...own])].toSorted((a, b) => Number(a) - Number(b));
    if (wanted.length === 0) return apiKey === undefined ? [] : list("probes/my/?page_size=500", "", signal);
    const answers: Answer[] = [];
    for (let index = 0; index < wanted.length; index += idsInOneCall) {
      const some = wanted.slice(index, index + idsInOneCall).join(",");
      answers.push(...(await list(`probes/?id__in=${some}&page_size=500`, `#${some}`, signal)));
      if (answers.at(-1)?.failure !== null) break;
    }
    return answers;
  };

  return {
    async read(source, ids, signal) {
      if (asker.leftAlone()) return [];
      if (source === "nodes") return readProbes(ids, signal);
      return apiKey === undefined ? [] : [await send("credits/", new URL("credits/", base), signal)];
    },
    secrets: () => (apiKey === undefined ? [] : [apiKey]),
  };
}

/** The key goes with every call: an address elsewhere is not followed, whoever wrote it. */
function sameList(current: URL, next: string): URL | null {
  const url = URL.parse(next, current.href);
  if (url === null) return null;
  return url.origin === current.origin && url.pathname === current.pathname ? url : null;
}

function detailOf(body: string): string {
  const detail = understoodOr(null, () => {
    const error = objectAt(objectAt(parseLossless(body), "the answer").error, "error");
    return textAt(error.detail, "error.detail");
  });
  return detail === null ? "" : ` (${detail.slice(0, 200)})`;
}
