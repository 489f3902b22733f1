import type { Page, Response } from "playwright-core";
import type { PageSeen } from "./standing.ts";
import { otherPage } from "./standing.ts";

/** The marks that the dashboard's pages are known by, and its form. Source: what its pages show to a person. */

const signedInMark = "Copy Referral Link";
const emailField = "Enter Email";
const passwordField = "Enter Password";
const longestText = 20_000;
// How long a mark may come after a text that another page would have.
const markMs = 1_000;

/** What an account signs in with. */
export interface SignInWords {
  readonly email: string;
  readonly password: string;
}

/**
 * Returns which page of the dashboard is shown: that of somebody who is signed in, or its form; null where within
 * `patienceMs` it has neither mark, sooner where its words refuse or `ended` resolves. A page that is known may speak of
 * terms or captchas too: its marks count for more than its words.
 */
export async function markOf(
  page: Page,
  patienceMs: number,
  ended: Promise<null> = new Promise(() => undefined),
): Promise<"signed-in" | "sign-in" | null> {
  const shown = (ms: number): Promise<"signed-in" | "sign-in" | null>[] => [
    page
      .getByText(signedInMark)
      .first()
      .waitFor({ timeout: ms })
      .then(() => "signed-in" as const, none),
    page
      .getByPlaceholder(passwordField)
      .first()
      .waitFor({ timeout: ms })
      .then(() => "sign-in" as const, none),
  ];
  const refusal = page.getByText(otherPage).first().waitFor({ timeout: patienceMs }).then(none, none);
  const first = await Promise.race([...shown(patienceMs), refusal, ended]);
  return first ?? (await Promise.race(shown(markMs)));
}

/** Returns the text of the dialog that lies over the page, empty where none does. */
export async function dialogOn(page: Page): Promise<string> {
  const [text = ""] = await page.locator("dialog[open], [role=dialog]").allInnerTexts();
  return text;
}

/**
 * Signs in by the page's own form, once. Returns `in` when the page shows it, else the answer that refused, null where
 * none came within `patienceMs`. What the sign-in answers is never kept: it holds the session.
 */
export async function submitForm(
  page: Page,
  { email, password }: SignInWords,
  patienceMs: number,
): Promise<"in" | Response | null> {
  const answered = page
    .waitForResponse((response) => response.request().method() === "POST" && response.status() >= 400, {
      timeout: patienceMs,
    })
    .catch(none);
  await page.getByPlaceholder(emailField).fill(email);
  await page.getByPlaceholder(passwordField).fill(password);
  await page.locator("button").first().click();
  const entered = page.getByText(signedInMark).first().waitFor({ timeout: patienceMs });
  return await Promise.race([entered.then(() => "in" as const, none), answered]);
}

/** Returns whether the form stands there. */
export async function hasForm(page: Page): Promise<boolean> {
  return (await page.getByPlaceholder(passwordField).count()) > 0;
}

/** Returns what a person would see on the page, cut, and where its frames come from. */
export async function seenOn(page: Page): Promise<PageSeen> {
  const frames = page.frames().filter((frame) => frame !== page.mainFrame());
  return {
    path: new URL(page.url()).pathname,
    text: (await page.locator("body").innerText()).slice(0, longestText),
    frames: frames.map((frame) => frame.url().split(/[?#]/)[0]?.slice(0, 200) ?? "").filter((url) => url !== ""),
  };
}

function none(): null {
  return null;
}
