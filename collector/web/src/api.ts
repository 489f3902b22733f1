import { ExplainedError } from "../../../infra/problem.ts";
import type {
  AlertItem,
  GapItem,
  NodeItem,
  ProblemDetails,
  RecoveryAction,
  RecoveryState,
  SampleItem,
  StateItem,
} from "../../api/types.ts";
import { setClock } from "./clock.ts";
import type { Recovery } from "./recovery.ts";

// Relative, so that the page also works behind a proxy that serves it under a folder.
const root = "api/v1";

type Query = Readonly<Record<string, string>>;

interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

/** Where the stream of changes is; `after` is the id of the last change seen, null for changes from now on. */
export function streamUrl(after: string | null): string {
  return after === null ? `${root}/stream` : `${root}/stream?after=${encodeURIComponent(after)}`;
}

/** Returns every node, gone ones included. Throws as `getJson`. */
export function readNodes(signal: AbortSignal): Promise<readonly NodeItem[]> {
  return readAll<NodeItem>("nodes", {}, signal);
}

/** Returns the node with this key. Throws as `getJson`. */
export function readNode(key: string, signal: AbortSignal): Promise<NodeItem> {
  return getJson<NodeItem>(`${root}/nodes/${key}`, signal);
}

/** Returns the node's layer states that reach beyond the instant `from` (RFC 3339). Throws as `getJson`. */
export function readStates(key: string, from: string, signal: AbortSignal): Promise<readonly StateItem[]> {
  return readAll<StateItem>(`nodes/${key}/states`, { from }, signal);
}

/** Returns the newest events of the node's journal. Throws as `getJson`. */
export async function readEvents(key: string, signal: AbortSignal): Promise<readonly SampleItem[]> {
  const page = await readPage<SampleItem>(
    `nodes/${key}/samples`,
    { kind: "event", order: "desc", limit: "50" },
    signal,
  );
  return page.items;
}

/** Returns the stretches for which nothing of the node was read. Throws as `getJson`. */
export function readGaps(key: string, signal: AbortSignal): Promise<readonly GapItem[]> {
  return readAll<GapItem>(`nodes/${key}/gaps`, {}, signal);
}

/** Returns the alerts that are open. Throws as `getJson`. */
export function readOpenAlerts(signal: AbortSignal): Promise<readonly AlertItem[]> {
  return readAll<AlertItem>("alerts", { open: "true", limit: "1000" }, signal);
}

/** Says that somebody sees to an alert. Throws as `getJson`. */
export function acknowledge(id: string): Promise<void> {
  return post(`alerts/${id}/ack`);
}

/** Sets the brake of recovery, or releases it. Throws as `getJson`. */
export function brakeRecovery(what: "pause" | "release"): Promise<void> {
  return post(`recovery/${what}`);
}

/** Returns how the repair of nodes stands, and the newest of what was done. Throws as `getJson`. */
export async function readRecovery(signal: AbortSignal): Promise<Recovery> {
  const [state, actions] = await Promise.all([
    getJson<RecoveryState>(`${root}/recovery`, signal),
    readPage<RecoveryAction>("recovery/actions", { limit: "50" }, signal),
  ]);
  return { state, actions: actions.items };
}

async function post(path: string): Promise<void> {
  await getJson(`${root}/${path}`, new AbortController().signal, {
    method: "POST",
    body: "{}",
    headers: { "content-type": "application/json" },
  });
}

/** Returns all items of a list, page after page. */
async function readAll<Item>(path: string, query: Query, signal: AbortSignal): Promise<readonly Item[]> {
  const items: Item[] = [];
  let page: Page<Item> = await readPage<Item>(path, query, signal);
  items.push(...page.items);
  while (page.next !== null) {
    page = await readPage<Item>(path, { ...query, after: page.next }, signal);
    items.push(...page.items);
  }
  return items;
}

async function readPage<Item>(path: string, query: Query, signal: AbortSignal): Promise<Page<Item>> {
  const search = new URLSearchParams(query).toString();
  const url = `${root}/${path}${search === "" ? "" : `?${search}`}`;
  const page = await getJson<Partial<Page<Item>> | null>(url, signal);
  if (!Array.isArray(page?.items)) throw strange(url, "answered without a list of items");
  return { items: page.items, next: page.next ?? null };
}

/**
 * Returns the JSON at `url`. Throws an `ExplainedError`: the collector's own problem where it answered with one,
 * `api-unreachable` where nothing answered, `api-strange` where the answer was no JSON; an `AbortError` when `signal` fires.
 */
async function getJson<Answer>(url: string, signal: AbortSignal, request: RequestInit = {}): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(url, {
      ...request,
      signal,
      cache: "no-store",
      headers: { accept: "application/json", ...request.headers },
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ExplainedError(
      "api-unreachable",
      `The collector at ${location.host} does not answer.`,
      "See whether it still runs; npm start starts it. The nodes run on without it, and nothing they did is lost.",
      { cause: error },
    );
  }
  setClock(response.headers.get("date"));
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw strange(url, `answered ${response.status} with something that is not JSON`, error);
  }
  if (response.ok) return body as Answer;
  const problem = body as Partial<ProblemDetails> | null;
  throw new ExplainedError(
    problem?.code ?? `http-${response.status}`,
    problem?.detail ?? problem?.title ?? `${url} answered ${response.status}.`,
    problem?.fix ?? "Look into the collector's log.",
  );
}

function strange(url: string, what: string, cause?: unknown): ExplainedError {
  return new ExplainedError(
    "api-strange",
    `${url} ${what}.`,
    "Another program may be listening there, or the page may be older than the collector: reload it.",
    { cause },
  );
}
