import { type Browser, chromium, type Page } from "playwright-core";
import { ExplainedError } from "../../infra/problem.ts";
import { dialogOn, hasForm, markOf, type SignInWords, seenOn, submitForm } from "../networks/gradient/dashboard.ts";
import { asksForTerms, errorOfPage, refusalOf } from "../networks/gradient/standing.ts";
import { errorOfStatus } from "../networks/outcome.ts";
import { openWindow } from "./window.ts";

/** What signing a browser in depends on. */
export interface Enrolment {
  /** The debugging endpoint of the node's browser, as this machine reaches it: `http://127.0.0.1:<port>`. */
  readonly endpoint: string;
  /** Where the network's dashboard is, as the node's browser reaches it. Credentials are typed there and nowhere else. */
  readonly origin: string;
  /** Asked for only where the dashboard shows its form. */
  readonly words: () => Promise<SignInWords>;
  /** How long a page may take to show what it is, in milliseconds. */
  readonly patienceMs: number;
  /** How long a person may take with a page that only a person may answer, in milliseconds. */
  readonly byHandMs: number;
  /** Hears what a person has to do, and where. */
  readonly say: (sentence: string) => void;
  readonly signal: AbortSignal;
}

/** How it ended: signed in now, by the form or by a person's hand, or nothing had to be done. */
export type Enrolled = "signed-in" | "was-signed-in";

const lookMs = 1_000;
/** After signing in the page tells the extension; it is given this long to do so before it is closed. */
const settleMs = 3_000;

/**
 * Signs the node's own browser in to the network, in a page of its own that is closed again. A password that was refused is
 * not tried twice. A captcha, new terms and a page that was never seen are shown to a person in a forwarded window, and
 * nothing of them is answered from here.
 * Throws ExplainedError: `no-browser` where the endpoint does not answer, `sign-in-refused`, `region-block`, `other-origin`
 * where the dashboard leads elsewhere, `by-hand-late`, `network` for what else the network did.
 */
export async function enrolBrowser(setting: Enrolment): Promise<Enrolled> {
  const { endpoint, signal, patienceMs } = setting;
  let browser: Browser;
  try {
    browser = await chromium.connectOverCDP(endpoint, { timeout: patienceMs });
  } catch (error) {
    throw new ExplainedError(
      "no-browser",
      `The node's browser does not answer at its debugging endpoint: ${firstLine(error)}`,
      "See on the page whether its browser runs; npm run enrol again when it does.",
      { cause: error },
    );
  }
  const page = await (browser.contexts()[0] ?? (await browser.newContext())).newPage();
  const stop = (): void => void page.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await signInOn(page, setting);
  } catch (error) {
    if (signal.aborted) throw new ExplainedError("stopped", "It was stopped.", "Run it again.");
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
    await page.close();
    // The browser is the node's: this ends the connection, not the browser.
    await browser.close();
  }
}

async function signInOn(page: Page, setting: Enrolment): Promise<Enrolled> {
  const { origin, patienceMs, words } = setting;
  const status = await opened(page, setting);
  // Whether the words were typed, and whether anything was done at all, by the form or by a hand.
  let typed = false;
  let done = false;
  // What was answered with a failure is the page that it is going to be.
  let mark = await markOf(page, status === null || errorOfStatus(status) === null ? patienceMs : lookMs);
  for (;;) {
    if (asksForTerms(await dialogOn(page))) {
      mark = await byHand(page, setting, "The network asks to agree to its terms");
      done = true;
    }
    switch (mark) {
      case "signed-in":
        if (done) await page.waitForTimeout(settleMs);
        return done ? "signed-in" : "was-signed-in";
      case "sign-in":
        if (typed) throw refused("its form came back");
        stayAt(page, origin);
        mark = await submitted(page, setting, await words());
        typed = true;
        break;
      case null:
        mark = await refusedBy(page, setting, done ? null : status);
        break;
      default:
        return mark satisfies never;
    }
    done = true;
  }
}

function stayAt(page: Page, origin: string): void {
  const shown = new URL(page.url()).origin;
  if (shown !== origin)
    throw new ExplainedError(
      "other-origin",
      `The dashboard at ${origin} led to a form at ${shown}; nothing was typed there.`,
      "Look at it yourself; where the network moved, write its new address into the account file.",
    );
}

/** Sends the form and returns what the page shows then. */
async function submitted(page: Page, setting: Enrolment, words: SignInWords): Promise<"signed-in" | "sign-in" | null> {
  const answer = await submitForm(page, words, setting.patienceMs);
  if (answer === "in") return "signed-in";
  const status = answer?.status() ?? null;
  if (status === 400 || status === 401) throw refused(`HTTP ${status}`);
  const captcha = refusalOf(await seenOn(page)) === "captcha";
  const failure = status === null ? null : errorOfStatus(status);
  if (failure !== null && !captcha) throw network(failure.message);
  if (!(await hasForm(page))) return null;
  // Nothing refused the form, and it still stands there: a captcha may lie over it.
  if (!captcha) throw network("its form did not answer");
  return await byHand(page, setting, "The form wants a captcha solved, which only a person may do", ["signed-in"]);
}

/** Has a person do what a page without the marks wants, and returns what is shown then; `status` is that of the page. */
async function refusedBy(page: Page, setting: Enrolment, status: number | null): Promise<"signed-in" | "sign-in"> {
  const seen = await seenOn(page);
  const refusal = refusalOf(seen);
  const { message } = errorOfPage(seen);
  if (refusal === "region-block")
    throw new ExplainedError(
      "region-block",
      `The network says to the node's browser: ${message}.`,
      "This is the network's answer to where the node is; there is nothing to repair.",
    );
  const failure = status === null ? null : errorOfStatus(status);
  if (refusal === "unknown" && failure !== null) throw network(failure.message);
  return await byHand(page, setting, `${message.slice(0, 1).toUpperCase()}${message.slice(1)}`);
}

/** Opens the dashboard and returns the status that it was answered with. */
async function opened(page: Page, { origin, patienceMs }: Enrolment): Promise<number | null> {
  try {
    const response = await page.goto(new URL("/dashboard", origin).href, { timeout: patienceMs * 2 });
    return response?.status() ?? null;
  } catch (error) {
    if (page.isClosed()) throw error;
    throw network(firstLine(error));
  }
}

/** Shows the page to a person until it has one of the marks, and returns that. Throws `by-hand-late`. */
async function byHand(
  page: Page,
  { byHandMs, say, signal }: Enrolment,
  why: string,
  marks: readonly string[] = ["signed-in", "sign-in"],
): Promise<"signed-in" | "sign-in"> {
  const window = await openWindow(page);
  say(`${why}. Do it by hand in this window: ${window.url}`);
  const deadline = performance.now() + byHandMs;
  try {
    while (performance.now() < deadline) {
      signal.throwIfAborted();
      const mark = await markOf(page, lookMs);
      if (mark !== null && marks.includes(mark) && !asksForTerms(await dialogOn(page))) return mark;
      await page.waitForTimeout(lookMs / 4);
    }
  } finally {
    await window.close();
  }
  throw new ExplainedError(
    "by-hand-late",
    `${why}, and nobody did it within ${Math.round(byHandMs / 60_000)} minutes.`,
    "Run it again and open the window that it names.",
  );
}

function refused(how: string): ExplainedError {
  return new ExplainedError(
    "sign-in-refused",
    `The network did not take the address and the password (${how}); they are not tried again.`,
    "Correct the account: npm run credentials -- set networks/<name>.json.",
  );
}

function network(what: string): ExplainedError {
  return new ExplainedError("network", `The network's dashboard cannot be used now: ${what}.`, "Try again later.");
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]?.slice(0, 300) ?? "";
}
