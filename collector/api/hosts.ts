import { isIP } from "node:net";

/** Returns whether the address that we listen on can be reached from this machine only. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\./.test(host);
}

/**
 * Returns whether a request's Host header may be answered. While we listen on the loopback interface only an address or
 * `localhost` may: a foreign name that was made to point here (DNS rebinding) is a page of somebody else's that asks.
 */
export function hostAllowed(header: string | undefined, listeningOn: string): boolean {
  if (!isLoopback(listeningOn)) return true;
  const name = /^(?:\[([^\]]+)\]|([^:]*))(?::[0-9]+)?$/.exec(header ?? "");
  const host = name?.[1] ?? name?.[2] ?? "";
  return host.toLowerCase() === "localhost" || isIP(host) !== 0;
}
