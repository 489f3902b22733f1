/** What the network says of a node, in the fields of its JSON and in the word that its dashboard shows. */
export interface Verdict {
  readonly status: string;
  readonly active: boolean;
  readonly connect: boolean;
  readonly banned: boolean;
  readonly bannedReason: string | null;
}

/**
 * Returns the verdict on a node last heard at `lastHeardAt` (network ms, null for never): `Good` while its heartbeats
 * come within the tolerance, else `Disconnected`; `Unsupported` with a reason when one is asked for; any other word when
 * one is asked for. A word changes nothing but what is shown.
 */
export function verdictOn(
  lastHeardAt: number | null,
  now: number,
  toleranceMs: number,
  asked: { readonly unsupported: string | null; readonly status: string | null },
): Verdict {
  const connect = lastHeardAt !== null && now - lastHeardAt <= toleranceMs;
  const banned = asked.unsupported !== null;
  const active = connect && !banned;
  const word = banned ? "Unsupported" : active ? "Good" : "Disconnected";
  return { status: asked.status ?? word, active, connect, banned, bannedReason: asked.unsupported };
}
