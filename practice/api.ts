import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { SignIn } from "./account.ts";
import { type Network, type NodeStanding, season } from "./network.ts";
import { granted, Refusal, readBody } from "./refusal.ts";
import { dayOf } from "./reward.ts";
import type { Account } from "./state.ts";

/**
 * The JSON behind the dashboard, in the network's own paths, field names, units and envelope as far as they are known.
 * Points are integers in units of 1/100 000 point; lengths and instants are network milliseconds. `status` of a node is
 * the word that the dashboard shows, a field of the practice network's own.
 */

const Empty = z.strictObject({});
const Instant = z.int().min(0).max(8_640_000_000_000_000);
const Series = z
  .strictObject({ start: Instant, end: Instant, type: z.literal("DAY", 'must be "DAY"') })
  .refine(({ start, end }) => start <= end, { path: ["end"], message: "must not lie before start" });
const Choice = z.union([z.literal(""), z.boolean()]);
const List = z.strictObject({
  page: z.int().min(1),
  size: z.int().min(1).max(1000),
  field: z.literal("active", 'must be "active"').default("active"),
  direction: z.union([z.literal(0), z.literal(1)]).default(0),
  active: Choice.default(""),
  banned: Choice.default(""),
  hide: z.int().optional(),
});
const Count = z.coerce.number().int().min(1).max(1000);

/** Where every practice node is: nowhere. */
const nowhere = { lat: 0, lng: 0, place: "practice", country: "practice" } as const;

/** Returns units as the JSON number that the network's API carries. Throws a `RangeError` where it would not be exact. */
export function unitsAsNumber(units: bigint): number {
  const number = Number(units);
  if (!Number.isSafeInteger(number)) throw new RangeError(`${units} units do not fit a JSON number.`);
  return number;
}

function nodeJson({ node, verdict, lastHeardAt, today, total }: NodeStanding) {
  const points = unitsAsNumber(total.units);
  return {
    id: node.clientid,
    name: node.name,
    active: verdict.active,
    connect: verdict.connect,
    status: verdict.status,
    lastActive: lastHeardAt,
    createAt: node.createdAt,
    duration: total.uptimeMs,
    today: unitsAsNumber(today.units),
    todayDuration: today.uptimeMs,
    todayLatency: today.taps,
    score: points,
    season: { [season]: points },
    banned: verdict.banned,
    bannedReason: verdict.bannedReason,
    ip: node.ip,
    location: { ...nowhere, ip: node.ip },
  };
}

function profileJson(network: Network, account: Account) {
  const points = unitsAsNumber(network.unitsOfAccount(account));
  return {
    name: account.name,
    email: account.email,
    code: account.referralCode,
    seasonNo: season,
    season: { [season]: points },
    stats: { invitee: account.invitees, pending: account.pendingInvitees },
    point: { total: points },
    node: { sentry: network.nodesOf(account).length },
    referredBy: null,
  };
}

/** Serves the JSON API under `/api`. */
export function serveApi(app: FastifyInstance, network: Network, signIn: SignIn): void {
  const accountOf = (request: { headers: { authorization?: string | undefined } }): Account =>
    signIn.accountOf(request.headers.authorization);

  app.get("/api/status", async (request) => ({ ip: request.ip, time: network.now() }));

  app.post("/api/user/profile", async (request) => {
    const account = accountOf(request);
    readBody(Empty, request.body);
    return granted(profileJson(network, account));
  });

  app.post("/api/point/stats", async (request) => {
    const account = accountOf(request);
    const { start, end } = readBody(Series, request.body);
    const days = network.daysOfAccount(account, dayOf(start), dayOf(end));
    return granted(
      [...days].map(([id, units]) => ({ id, node: unitsAsNumber(units), referral: 0, bonus: 0, boost: 0 })),
    );
  });

  app.post<{ Params: { cid: string } }>("/api/sentrynode/stats/:cid", async (request) => {
    const node = network.nodeOf(accountOf(request), request.params.cid);
    const { start, end } = readBody(Series, request.body);
    return granted(
      network
        .daysOfNode(node, dayOf(start), dayOf(end))
        .map(({ day, uptimeMs, taps }) => ({ id: day, node: node.clientid, duration: uptimeMs, latency: taps })),
    );
  });

  app.get<{ Params: { cid: string } }>("/api/sentrynode/get/:cid", async (request) => {
    const node = network.nodeOf(accountOf(request), request.params.cid);
    return granted(nodeJson(network.standing(node)));
  });

  app.get<{ Params: { cid: string; n: string } }>("/api/sentrynode/latency/list/:cid/:n", async (request) => {
    const node = network.nodeOf(accountOf(request), request.params.cid);
    const count = Count.safeParse(request.params.n);
    if (!count.success) throw new Refusal(400, "The last part of the path must be a count from 1 to 1000.");
    return granted(
      network
        .tapsOf(node.clientid, count.data)
        .map(({ latencyMs, concludedAt }) => ({ node: { location: nowhere }, ttl: latencyMs, createAt: concludedAt })),
    );
  });

  app.post("/api/sentrynode/list", async (request) => {
    const account = accountOf(request);
    const { page, size, direction, active, banned } = readBody(List, request.body);
    const nodes = network
      .nodesOf(account)
      .filter(({ verdict }) => active === "" || verdict.active === active)
      .filter(({ verdict }) => banned === "" || verdict.banned === banned)
      // Stable, so that nodes of one kind keep the order in which they were made.
      .sort((a, b) => (Number(b.verdict.active) - Number(a.verdict.active)) * (direction === 0 ? 1 : -1));
    return granted(nodes.slice((page - 1) * size, page * size).map(nodeJson));
  });
}
