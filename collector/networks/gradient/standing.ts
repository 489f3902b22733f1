import { NetworkError } from "../outcome.ts";

/** What was seen on a page of the dashboard that has none of the marks it is known by, or has a dialog over them. */
export interface PageSeen {
  readonly path: string;
  /** The text that a person would see, cut. */
  readonly text: string;
  /** Where frames inside it come from: host and path. */
  readonly frames: readonly string[];
}

const regionBlock = /not yet available in your region/i;
const captcha =
  /captcha|verify (?:that )?you(?: a|')re (?:a )?human|just a moment|checking your browser|unusual traffic/i;
const captchaFrame = /recaptcha\/(?:api2|enterprise)\/bframe|hcaptcha\.com|challenges\.cloudflare\.com|arkoselabs/i;
const terms =
  /\b(?:updated|changed|new|revised)\b.{0,80}\bterms\b|\bterms\b.{0,80}\b(?:updated|changed|accept|agree)\b/is;

/** Text of a page that refuses: seen, there is nothing more to wait for. */
export const otherPage = new RegExp([regionBlock, captcha, terms].map(({ source }) => source).join("|"), "is");

/** Returns whether a dialog's text asks to agree to other terms. */
export function asksForTerms(text: string): boolean {
  return terms.test(text);
}

/** Returns which of the pages that refuse it is; `unknown` for one that was never seen. */
export function refusalOf({ text, frames }: PageSeen): "region-block" | "captcha" | "terms" | "unknown" {
  if (regionBlock.test(text)) return "region-block";
  if (captcha.test(text) || frames.some((frame) => captchaFrame.test(frame))) return "captcha";
  return asksForTerms(text) ? "terms" : "unknown";
}

/** Returns the error that a page stands for which is not the one that was asked for: `blocked`, or `shape`. */
export function errorOfPage(seen: PageSeen): NetworkError {
  const refusal = refusalOf(seen);
  switch (refusal) {
    case "region-block":
      return new NetworkError("blocked", "the network is not available in this region");
    case "captcha":
      return new NetworkError("blocked", "the page wants a captcha solved, which only a person may do");
    case "terms":
      return new NetworkError("blocked", "the page asks to agree to other terms");
    case "unknown":
      return new NetworkError("shape", `the page ${seen.path} has none of the marks it is known by`);
    default:
      return refusal satisfies never;
  }
}
