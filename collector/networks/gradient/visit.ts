import { type Browser, type BrowserContextOptions, chromium, type Page, type Response } from "playwright-core";
import { findBrowser } from "../../../infra/browser.ts";
import { turns } from "../../journal/turns.ts";
import type { Answer } from "../adapter.ts";
import { retryAfterMs } from "../http.ts";
import { errorOfStatus, NetworkError, understoodOr } from "../outcome.ts";
import type { GradientAccount } from "./account.ts";
import { dialogOn, hasForm, markOf, seenOn, submitForm } from "./dashboard.ts";
import { countedNodes, listedNodes, parseGradient } from "./parse.ts";
import { asksForTerms, errorOfPage, type PageSeen } from "./standing.ts";

/** The session that a browser keeps, as Playwright writes it down. */
export type BrowserSession = Exclude<NonNullable<BrowserContextOptions["storageState"]>, string>;

/** What a visit of the dashboard brought. */
export interface Visit {
  readonly answers: readonly Answer[];
  /** What to begin the next visit with; null where nobody was signed in. */
  readonly session: BrowserSession | null;
  /** Tokens that the page held or sent. */
  readonly tokens: readonly string[];
  /** How long the network asked to be left alone, in milliseconds; null where it did not. */
  readonly retryAfterMs: number | null;
  /** True where the password was refused. */
  readonly refused: boolean;
}

/** What a visit depends on. */
export interface VisitSetting {
  readonly account: GradientAccount;
  readonly session: BrowserSession | null;
  readonly now: () => Date;
  /** How long a page may take to show one of its marks, in milliseconds. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

const largestBody = 8 * 1024 * 1024;
const quietMs = 300;
// How long the table may take to show what the page has received.
const tableMs = 3_000;
/** The calls of the page whose answers are read; others are none of our business. */
const readCalls = /^(?:user\/profile|point\/stats|status|sentrynode\/(?:list|get\/[\w-]+|stats\/[\w-]+))$/;

/**
 * What the browser does without: surfaces of a window that nobody sees, and a renderer for a page that never comes. They
 * would take a fifth of its memory.
 */
const unseenFeatures = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess"];
/** What Playwright switches off itself. Of several switches of one name the last holds, so they are named again. */
export const playwrightsFeatures = [
  "AvoidUnnecessaryBeforeUnloadCheckSync",
  "DestroyProfileOnBrowserClose",
  "HttpsUpgrades",
  "HttpsFirstBalancedModeAutoEnable",
  "LensOverlay",
  "MediaRouter",
  "PaintHolding",
  "ThirdPartyStoragePartitioning",
  "AvoidCorsURLLoaderRestartOnRedirect",
  "TcpPortRandomizationWin",
  "OptimizationHints",
  "NetworkTimeServiceQuerying",
  "AimEnabled",
  "PreconnectToSearch",
  "msForceBrowserSignIn",
  "msEdgeUpdateLaunchServicesPreferredVersion",
];
/** Several accounts may be due at once, and a small host has room for one browser. */
const inTurn = turns(1);

/**
 * Opens the dashboard in a real browser, which says what it is, signs in by the form where the page shows it, and reads
 * what the page receives and shows. The browser runs only as long as this takes, and one at a time.
 * @throws ExplainedError where there is no browser; what the network did stands in the answers.
 */
export async function visitDashboard(setting: VisitSetting): Promise<Visit> {
  const { path } = await findBrowser({ install: async () => 1 });
  return inTurn(() => visitBy(path, setting));
}

async function visitBy(path: string, setting: VisitSetting): Promise<Visit> {
  setting.signal.throwIfAborted();
  const browser = await chromium.launch({
    executablePath: path,
    args: [
      `--disable-features=${[...playwrightsFeatures, ...unseenFeatures].join(",")}`,
      // Nobody sees the pictures that it would draw.
      "--disable-gpu",
      "--disable-software-rasterizer",
    ],
    // Chromium cannot build its sandbox as root; the collector's own unit does not run as root.
    chromiumSandbox: process.getuid?.() !== 0,
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
  const close = (): void => void browser.close();
  setting.signal.addEventListener("abort", close, { once: true });
  try {
    return await visitWith(browser, setting);
  } finally {
    setting.signal.removeEventListener("abort", close);
    await browser.close();
  }
}

async function visitWith(browser: Browser, setting: VisitSetting): Promise<Visit> {
  const { account, session, now, patienceMs, signal } = setting;
  const context = await browser.newContext(session === null ? {} : { storageState: session });
  const page = await context.newPage();
  const received = listenTo(page, account, now);
  const answers: Answer[] = [];
  let refused = false;
  let signedIn = false;
  try {
    const first = await openPage(page, "/dashboard", received, setting);
    if (first.kind === "sign-in") {
      const outcome = await signIn(page, received, setting);
      refused = outcome.refused;
      signedIn = outcome.answer === null;
      if (outcome.answer !== null) answers.push(outcome.answer);
    } else if (first.kind === "signed-in") signedIn = true;
    else answers.push(first.answer);
    if (signedIn) {
      await received.quiet(patienceMs);
      if (received.failure() === null) {
        const nodes = await openNodes(page, received, setting);
        if (nodes !== null) answers.push(nodes);
      }
    }
    // What the page received before it failed is still being read.
    await received.quiet(patienceMs);
  } catch (error) {
    signal.throwIfAborted();
    // Whatever the browser says of a page that did not come, the next visit may go better.
    answers.push(pageAnswer("page/dashboard", now(), now, "", null, transient(error)));
  }
  const kept = signedIn ? await context.storageState({ indexedDB: true }) : null;
  return {
    answers: [...withoutContradiction(received.answers()), ...answers],
    session: kept,
    tokens: [...received.tokens(), ...(kept === null ? [] : secretsIn(kept))],
    retryAfterMs: received.retryAfterMs(),
    refused,
  };
}

type Opened =
  | { readonly kind: "signed-in" }
  | { readonly kind: "sign-in" }
  | { readonly kind: "other"; readonly answer: Answer };

/** Opens a page of the dashboard and returns which of the known ones it is. */
async function openPage(page: Page, path: string, received: Received, setting: VisitSetting): Promise<Opened> {
  const { account, now, patienceMs } = setting;
  const startedAt = now();
  const response = await page.goto(new URL(path, account.origin).href, { timeout: patienceMs * 2 });
  const status = response?.status() ?? null;
  const other = async (failure: NetworkError | null): Promise<Opened> => {
    const seen = await seenOn(page);
    const body = JSON.stringify(seen);
    return {
      kind: "other",
      answer: pageAnswer("page/dashboard", startedAt, now, body, status, failure ?? errorOf(seen, received)),
    };
  };
  const failure = status === null ? null : errorOfStatus(status);
  if (failure !== null) {
    if (response !== null) received.note(response);
    return other(failure);
  }
  const mark = await markOf(page, patienceMs, received.failed);
  if (asksForTerms(await dialogOn(page)))
    return other(new NetworkError("blocked", "the page asks to agree to other terms"));
  return mark === null ? other(received.failure() ?? null) : { kind: mark };
}

/** A page without its marks is not of another shape as long as what it asked for has not come. */
function errorOf(seen: PageSeen, received: Received): NetworkError {
  const error = errorOfPage(seen);
  const late = received.awaited();
  return error.outcome === "shape" && late !== null
    ? new NetworkError("transient", `${late} was not answered in time`)
    : error;
}

function none(): null {
  return null;
}

/** Signs in by the page's own form. What the sign-in answers is never kept: it holds the session. */
async function signIn(
  page: Page,
  received: Received,
  { account, now, patienceMs }: VisitSetting,
): Promise<{ readonly answer: Answer | null; readonly refused: boolean }> {
  const startedAt = now();
  const first = await submitForm(page, account, patienceMs);
  if (first === "in") return { answer: null, refused: false };
  const status = first?.status() ?? null;
  if (first !== null) received.note(first);
  if (status === 400 || status === 401) {
    const failure = new NetworkError("auth", `HTTP ${status}: the network did not take the address and the password`);
    return { answer: pageAnswer("sign-in", startedAt, now, "", status, failure), refused: true };
  }
  const seen = await seenOn(page);
  const failure =
    (status === null ? null : errorOfStatus(status)) ??
    ((await hasForm(page)) ? new NetworkError("transient", "the form did not answer") : errorOfPage(seen));
  return { answer: pageAnswer("sign-in", startedAt, now, "", status, failure), refused: false };
}

/** Opens the page of nodes and returns its table as it is shown: there the network's own words for them stand. */
async function openNodes(page: Page, received: Received, setting: VisitSetting): Promise<Answer | null> {
  const { account, now, patienceMs } = setting;
  const startedAt = now();
  const response = await page.goto(new URL("/dashboard/node", account.origin).href, { timeout: patienceMs * 2 });
  const status = response?.status() ?? null;
  const failure = status === null ? null : errorOfStatus(status);
  const row = page.locator("table tbody tr td:nth-child(2)").first();
  if (failure === null) {
    const answered = received.list(patienceMs).then((body) => {
      if (body === null || understoodOr(null, () => listedNodes(body))?.length === 0) return null;
      return row.waitFor({ timeout: tableMs }).then(none, none);
    });
    await Promise.race([row.waitFor({ timeout: patienceMs }).then(none, none), answered, received.failed]);
    await received.quiet(patienceMs);
  } else if (response !== null) received.note(response);
  if (failure === null && received.failure() !== null) return null;
  const table = page.locator("table").filter({ has: page.locator("th") });
  if (failure !== null || (await table.count()) !== 1) {
    const seen = await seenOn(page);
    return pageAnswer("page/nodes", startedAt, now, JSON.stringify(seen), status, failure ?? errorOf(seen, received));
  }
  const heads = await table.locator("thead th").allInnerTexts();
  const rows: string[][] = [];
  for (const line of await table.locator("tbody tr").all()) {
    rows.push((await line.locator("td").allInnerTexts()).map((cell) => cell.trim()));
  }
  const list = received.answers().filter(({ call, failure: failed }) => call.startsWith("sentrynode/list") && !failed);
  const found = list.map(({ body }) => understoodOr(null, () => listedNodes(body)));
  const listed = found.length === 0 || found.includes(null) ? null : found.flatMap((nodes) => nodes ?? []);
  const body = JSON.stringify({ path: "/dashboard/node", heads: heads.map((head) => head.trim()), rows, listed });
  return pageAnswer("page/nodes", startedAt, now, body, status, null);
}

/** What a page received of the calls that are read, the last answer of each. */
interface Received {
  answers(): readonly Answer[];
  tokens(): readonly string[];
  /** Why the page cannot be read, where an answer of its own says so. */
  failure(): NetworkError | null;
  /** Resolves when an answer says that the page cannot be read. */
  readonly failed: Promise<null>;
  /** Resolves with the body of the list of nodes when it came, null when it did not in time. */
  list(patienceMs: number): Promise<string | null>;
  /** Takes account of a pause that an answer asks for. */
  note(response: Response): void;
  retryAfterMs(): number | null;
  /** Returns a call that is read and has not been answered yet; null where there is none. */
  awaited(): string | null;
  /** Resolves when no call that is read is on its way any more. */
  quiet(patienceMs: number): Promise<void>;
}

function listenTo(page: Page, account: GradientAccount, now: () => Date): Received {
  const base = `${account.api.replace(/\/+$/, "")}/`;
  const answers = new Map<string, Answer>();
  const tokens = new Set<string>();
  const underWay = new Map<unknown, string>();
  const waiting: (() => void)[] = [];
  let failure: NetworkError | null = null;
  let pause: number | null = null;
  let tellFailed: (value: null) => void = () => undefined;
  const failed = new Promise<null>((resolve) => {
    tellFailed = resolve;
  });

  const note = (response: Response): void => {
    const asked = retryAfterMs(response.headers()["retry-after"] ?? null, now());
    if (response.status() === 429 && asked !== null) pause = Math.max(pause ?? 0, asked);
  };
  const callOf = (url: string, sent: string | null): string | null => {
    if (!url.startsWith(base)) return null;
    const [path = ""] = url.slice(base.length).split(/[?#]/);
    if (!readCalls.test(path)) return null;
    const number = /"page"\s*:\s*([0-9]{1,6})/.exec(sent ?? "")?.[1];
    return path === "sentrynode/list" ? `${path}?page=${number ?? 1}` : path;
  };
  const take = async (response: Response, call: string, startedAt: Date): Promise<void> => {
    const status = response.status();
    let body = "";
    let broken = errorOfStatus(status);
    try {
      body = await response.text();
      if (body.length > largestBody) {
        body = "";
        broken = new NetworkError("shape", `the answer is longer than ${largestBody} bytes`);
      }
    } catch (error) {
      broken ??= transient(error);
    }
    note(response);
    answers.set(call, { call, startedAt, finishedAt: now(), httpStatus: status, body, failure: broken });
    const refused = broken?.outcome === "rate-limited" || broken?.outcome === "blocked";
    if (broken !== null && (refused || (call === "user/profile" && broken.outcome !== "auth"))) {
      failure ??= broken;
      tellFailed(null);
    } else if (call === "user/profile" && broken === null && !understands(call, body)) tellFailed(null);
    for (const tell of waiting.splice(0)) tell();
  };

  page.on("request", (request) => {
    const authorization = request.headers().authorization;
    const [, token] = /^Bearer\s+(\S+)$/.exec(authorization ?? "") ?? [];
    if (token !== undefined) tokens.add(token);
    const asked = callOf(request.url(), null);
    if (request.method() === "OPTIONS" || asked === null) return;
    const startedAt = now();
    underWay.set(request, asked);
    request
      .response()
      .then((response) => {
        const call = callOf(request.url(), request.postData());
        return response === null || call === null ? undefined : take(response, call, startedAt);
      })
      .catch(none)
      .finally(() => underWay.delete(request));
  });

  return {
    answers: () => [...answers.values()],
    tokens: () => [...tokens],
    failure: () => failure,
    failed,
    async list(patienceMs) {
      const found = (): string | undefined =>
        [...answers.values()].find(({ call }) => call.startsWith("sentrynode/list"))?.body;
      const end = performance.now() + patienceMs;
      while (found() === undefined && performance.now() < end) {
        await Promise.race([new Promise<void>((resolve) => waiting.push(resolve)), page.waitForTimeout(quietMs)]);
      }
      return found() ?? null;
    },
    note,
    retryAfterMs: () => pause,
    awaited: () => underWay.values().next().value ?? null,
    async quiet(patienceMs) {
      const end = performance.now() + patienceMs;
      do await page.waitForTimeout(quietMs);
      while (underWay.size > 0 && performance.now() < end);
    },
  };
}

function understands(call: string, body: string): boolean {
  return understoodOr(false, () => {
    parseGradient(call, body);
    return true;
  });
}

/** A list without a node is no answer where the account's own profile counts some. */
function withoutContradiction(answers: readonly Answer[]): readonly Answer[] {
  const profile = answers.find(({ call, failure }) => call === "user/profile" && failure === null);
  const counted = profile === undefined ? null : understoodOr(null, () => countedNodes(profile.body));
  if (counted === null || counted === 0n) return answers;
  return answers.map((answer) => {
    const { call, body, failure } = answer;
    const empty = call === "sentrynode/list?page=1" && understoodOr(null, () => listedNodes(body))?.length === 0;
    if (failure !== null || !empty) return answer;
    return {
      ...answer,
      failure: new NetworkError("shape", `the list is empty, and the account's profile counts ${counted} nodes`),
    };
  });
}

function pageAnswer(
  call: string,
  startedAt: Date,
  now: () => Date,
  body: string,
  httpStatus: number | null,
  failure: NetworkError | null,
): Answer {
  return { call, startedAt, finishedAt: now(), httpStatus, body, failure };
}

function transient(error: unknown): NetworkError {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  return new NetworkError("transient", `the browser says: ${line.slice(0, 200)}`, { cause: error });
}

/** Returns every long word in a browser's session: which of them are tokens only the page knows. */
export function secretsIn(session: BrowserSession): readonly string[] {
  const found = new Set<string>();
  const gather = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(gather);
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(gather);
    else if (typeof value === "string") {
      const inner = value.startsWith("{") ? understoodJson(value) : null;
      if (inner !== null) gather(inner);
      else if (/^[\w.~+/=-]{20,}$/.test(value)) found.add(value);
    }
  };
  gather(session.cookies.map(({ value }) => value));
  gather(session.origins.map(({ localStorage, ...more }) => [localStorage.map(({ value }) => value), more]));
  return [...found];
}

function understoodJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
