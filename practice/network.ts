import { randomUUID } from "node:crypto";
import { Refusal } from "./refusal.ts";
import { dayOf, unitsEarned } from "./reward.ts";
import type { Account, DayRow, NodeRow, State } from "./state.ts";
import { type Verdict, verdictOn } from "./verdict.ts";

/** The season whose rules the practice network keeps. */
export const season = 0;
const firstDay = "00000000";
const lastDay = "99999999";
const tapEveryMs = 3_600_000;

/** What has been asked to be said of a node: a reason for `Unsupported`, a status word, or null. */
export interface AskedVerdict {
  readonly unsupported: string | null;
  readonly status: string | null;
}

/** What the network knows of a node now. Units are 1/100 000 point, lengths network milliseconds. */
export interface NodeStanding {
  readonly node: NodeRow;
  readonly verdict: Verdict;
  readonly lastHeardAt: number | null;
  readonly today: { readonly units: bigint; readonly uptimeMs: number; readonly taps: number };
  readonly total: { readonly units: bigint; readonly uptimeMs: number };
}

/** A tap that the answer to a heartbeat carries. */
interface RelayedTap {
  readonly id: string;
  readonly nonce: string;
}
interface EchoedTap {
  readonly id: string;
  readonly echo: string;
}

/** The answer to a heartbeat: what the popup shows, taps to echo, echoes to verify, the tap that was offered. */
export interface HeartbeatOutcome {
  readonly standing: NodeStanding;
  readonly relayed: readonly RelayedTap[];
  readonly echoed: readonly EchoedTap[];
  readonly offered: string | null;
}

export type Network = ReturnType<typeof networkOn>;

/** What the network stands on. */
export interface NetworkSetting {
  readonly state: State;
  /** Network time in milliseconds, never going back. */
  readonly now: () => number;
  /** Real time in milliseconds. */
  readonly realNow: () => number;
  readonly toleranceMs: number;
  readonly asked: (clientid: string) => AskedVerdict;
}

/**
 * Returns what the network does with its nodes: registering, hearing, tapping, and what it then says of them. Addresses
 * that several nodes share do not split rewards here, as they do on the network that this one practises for.
 */
export function networkOn({ state, now, realNow, toleranceMs, asked }: NetworkSetting) {
  const verdict = (clientid: string, lastHeardAt: number | null, at: number): Verdict =>
    verdictOn(lastHeardAt, at, toleranceMs, asked(clientid));

  const standing = (node: NodeRow): NodeStanding => {
    const at = now();
    const today = dayOf(at);
    const days = state.daysOfNode(node.clientid, firstDay, lastDay);
    const lastHeardAt = state.lastHeardAt(node.clientid);
    const { uptimeMs, taps } = days.find(({ day }) => day === today) ?? { uptimeMs: 0, taps: 0 };
    return {
      node,
      verdict: verdict(node.clientid, lastHeardAt, at),
      lastHeardAt,
      today: { units: unitsEarned(uptimeMs, taps), uptimeMs, taps },
      total: { units: unitsOf(days), uptimeMs: days.reduce((sum, day) => sum + day.uptimeMs, 0) },
    };
  };

  /** Returns the node when it is the account's own; throws a `Refusal` with the envelope code 404 otherwise. */
  const nodeOf = (account: Account, clientid: string): NodeRow => {
    const node = state.node(clientid);
    if (node === undefined || node.uid !== account.uid)
      throw new Refusal(200, "This account has no node of that id.", 404);
    return node;
  };

  const good = (clientid: string, at: number): boolean => verdict(clientid, state.lastHeardAt(clientid), at).active;

  const offerTap = (node: NodeRow, nonce: string, at: number): string | null => {
    const open = state.openTapsOffered(node.clientid);
    // A tap whose other side went away must not hold its initiator back for ever.
    for (const tap of open) if (at - tap.offeredAt > 4 * toleranceMs) state.concludeTap(tap, at, false);
    if (open.some((tap) => at - tap.offeredAt <= 4 * toleranceMs)) return null;
    const last = state.lastOfferAt(node.clientid);
    if (last !== null && at - last < tapEveryMs) return null;
    const [peer] = state
      .otherNodes(node.clientid)
      .filter(({ clientid }) => good(clientid, at))
      .map(({ clientid }) => ({ clientid, last: state.lastTapBetween(node.clientid, clientid) ?? 0 }))
      .sort((a, b) => a.last - b.last);
    if (peer === undefined) return null;
    const id = randomUUID();
    state.offerTap(id, node.clientid, peer.clientid, nonce, at);
    return id;
  };

  return {
    now,
    toleranceMs,
    nodeOf,
    standing,

    /** Returns the node of this installation of the extension; the same one however often it is asked. */
    register: (account: Account, installation: string, version: string, ip: string): NodeRow => {
      const clientid = randomUUID();
      return state.registerNode({
        clientid,
        uid: account.uid,
        installation,
        name: `practice-${clientid.slice(0, 8)}`,
        version,
        ip,
        createdAt: now(),
      });
    },

    /** Stores a heartbeat, then relays taps, and offers one of the node's own to a node that is `Good`. */
    heartbeat: (node: NodeRow, version: string, ip: string, nonce: string): HeartbeatOutcome =>
      state.inTransaction(() => {
        const at = now();
        const realAt = realNow();
        const counted = asked(node.clientid).unsupported === null;
        state.addHeartbeat(node.clientid, { at, realAt, version, counted, ip }, toleranceMs);
        const relayed = counted ? state.tapsToRelay(node.clientid) : [];
        for (const tap of relayed) state.relayTap(realAt, tap.id);
        const echoed = counted ? state.tapsToVerify(node.clientid) : [];
        const offered = counted ? offerTap(node, nonce, at) : null;
        return {
          standing: standing(node),
          relayed: relayed.map((tap) => ({ id: tap.id, nonce: tap.nonce })),
          echoed: echoed.flatMap((tap) => (tap.echo === null ? [] : [{ id: tap.id, echo: tap.echo }])),
          offered,
        };
      }),

    /**
     * Keeps what the other side of a tap sent back. The latency is the real time from relaying the tap to its echo.
     * Throws a `Refusal` with status 409 when the tap is not waiting for this node.
     */
    echo: (node: NodeRow, id: string, echo: string): void => {
      const tap = state.tap(id);
      if (tap?.peer !== node.clientid || tap.relayedRealAt === null || tap.concludedAt !== null || tap.echo !== null)
        throw new Refusal(409, "No such tap waits for this node's echo.");
      state.echoTap(echo, Math.max(0, realNow() - tap.relayedRealAt), id);
    },

    /**
     * Ends a tap by its initiator's judgement of the echo and returns whether it counts: it does when the initiator
     * found its own nonce in it and so does the network. Throws a `Refusal` with status 409 when it is not waiting.
     */
    conclude: (node: NodeRow, id: string, verified: boolean): boolean =>
      state.inTransaction(() => {
        const tap = state.tap(id);
        if (tap?.initiator !== node.clientid || tap.echo === null || tap.concludedAt !== null)
          throw new Refusal(409, "No such tap waits for this node's verification.");
        const succeeded = verified && tap.echo === tap.nonce;
        state.concludeTap(tap, now(), succeeded);
        return succeeded;
      }),

    nodesOf: (account: Account): readonly NodeStanding[] => state.nodesOf(account.uid).map(standing),
    daysOfNode: (node: NodeRow, from: string, to: string): readonly DayRow[] =>
      state.daysOfNode(node.clientid, from, to),
    /** Returns the units that the account's nodes earned on each day that any was heard of, in order. */
    daysOfAccount: (account: Account, from: string, to: string): ReadonlyMap<string, bigint> => {
      const days = new Map<string, bigint>();
      for (const { day, uptimeMs, taps } of state.daysOfAccount(account.uid, from, to))
        days.set(day, (days.get(day) ?? 0n) + unitsEarned(uptimeMs, taps));
      return days;
    },
    /** Returns all that the account's nodes earned, in units. */
    unitsOfAccount: (account: Account): bigint => unitsOf(state.daysOfAccount(account.uid, firstDay, lastDay)),
    tapsOf: state.tapsOf,
  };
}

function unitsOf(days: readonly DayRow[]): bigint {
  return days.reduce((sum, { uptimeMs, taps }) => sum + unitsEarned(uptimeMs, taps), 0n);
}
