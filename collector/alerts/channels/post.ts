import { causeOf, retryAfterMs } from "../../networks/http.ts";
import { NotDelivered, type Sending } from "./delivery.ts";

const postMs = 15_000;
const largestReason = 300;

/**
 * Posts `body` as JSON. Follows no redirect: a moved address is for the operator to correct.
 * @throws NotDelivered unless it was answered with success.
 */
export async function postJson(
  url: string | URL,
  body: string,
  headers: Readonly<Record<string, string>>,
  { fetch, now, signal }: Sending,
): Promise<void> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      redirect: "manual",
      headers: { "content-type": "application/json", ...headers },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(postMs)]),
    });
  } catch (error) {
    throw new NotDelivered(`no answer: ${causeOf(error, postMs)}`, null, { cause: error });
  }
  if (response.ok) {
    await response.body?.cancel();
    return;
  }
  const said = (await response.text()).replaceAll(/\s+/g, " ").slice(0, largestReason);
  const wait = retryAfterMs(response.headers.get("retry-after"), now());
  throw new NotDelivered(`answered with ${response.status}${said === "" ? "" : `: ${said}`}`, wait);
}
