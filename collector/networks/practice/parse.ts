import { nodeMetrics, type ParsedFact, referralMetrics } from "../adapter.ts";
import { arrayAt, booleanAt, countAt, dayIn, type LosslessJson, objectAt, parseLossless, textAt } from "../lossless.ts";
import { NetworkError } from "../outcome.ts";

/**
 * What the practice network's answers say. The envelope, names and units are those of the network it practises for, as
 * far as they are known: `{code: 200, data, msg}`, points as integers in units of 1/100 000 point, days as `YYYYMMDD`
 * in UTC. A field that is missing or of another type makes the whole answer a `shape` error.
 */

type Json = { readonly [name: string]: LosslessJson };

/**
 * Returns the facts in the answer to `call`, which is the path below `/api/` with its query.
 * @throws NetworkError `shape` for an unknown form, `auth` where the envelope says so.
 */
export function parsePractice(call: string, body: string): readonly ParsedFact[] {
  const value = parseLossless(body);
  const [path = ""] = call.split("?");
  if (path === "status") return [count(null, "network-time", objectAt(value, "the answer").time, "time")];
  const envelope = objectAt(value, "the answer");
  const code = countAt(envelope.code, "code");
  const [, getId] = /^sentrynode\/get\/(.+)$/.exec(path) ?? [];
  if (getId !== undefined && code === 404n) return [text(decodeURIComponent(getId), nodeMetrics.presence, "absent")];
  if (code === 401n) throw new NetworkError("auth", "the envelope's code is 401");
  if (code !== 200n) throw new NetworkError("unknown", `the envelope's code is ${code}`);
  if (!Object.hasOwn(envelope, "data")) throw new NetworkError("shape", "the envelope has no data");
  const { data } = envelope;
  if (path === "user/profile") return profile(objectAt(data, "data"));
  if (path === "sentrynode/list") return arrayAt(data, "data").flatMap((item, index) => node(item, `data[${index}]`));
  if (getId !== undefined) return node(data, "data");
  if (path === "point/stats") return arrayAt(data, "data").flatMap(accountDay);
  const [, statsId] = /^sentrynode\/stats\/(.+)$/.exec(path) ?? [];
  if (statsId !== undefined) {
    return arrayAt(data, "data").flatMap((item, index) => nodeDay(decodeURIComponent(statsId), item, index));
  }
  throw new NetworkError("shape", `no form is known for ${path}`);
}

/** Returns how many nodes an answer to `sentrynode/list` holds, and their ids. @throws NetworkError as above. */
export function listedIds(body: string): readonly string[] {
  const envelope = objectAt(parseLossless(body), "the answer");
  return arrayAt(envelope.data, "data").map((item, index) =>
    textAt(objectAt(item, `data[${index}]`).id, `data[${index}].id`),
  );
}

/** Returns the network's clock, in its own milliseconds, from an answer to `status`. @throws NetworkError as above. */
export function networkTime(body: string): number {
  const time = countAt(objectAt(parseLossless(body), "the answer").time, "time");
  if (time > 8_640_000_000_000_000n) throw new NetworkError("shape", `time should be an instant and is ${time}`);
  return Number(time);
}

function profile(data: Json): ParsedFact[] {
  const stats = objectAt(data.stats, "data.stats");
  return [
    count(null, nodeMetrics.points, objectAt(data.point, "data.point").total, "data.point.total"),
    ...seasons(null, data.season, "data.season"),
    count(null, referralMetrics.invitee, stats.invitee, "data.stats.invitee"),
    count(null, referralMetrics.pending, stats.pending, "data.stats.pending"),
    count(null, "nodes", objectAt(data.node, "data.node").sentry, "data.node.sentry"),
  ];
}

function node(item: LosslessJson | undefined, at: string): ParsedFact[] {
  const value = objectAt(item, at);
  const id = textAt(value.id, `${at}.id`);
  const banned = booleanAt(value.banned, `${at}.banned`);
  const points = seasons(id, value.season, `${at}.season`);
  const { bannedReason, lastActive } = value;
  return [
    text(id, nodeMetrics.verdict, textAt(value.status, `${at}.status`)),
    ...(banned && typeof bannedReason === "string" ? [text(id, nodeMetrics.verdictReason, bannedReason)] : []),
    {
      ...count(
        id,
        nodeMetrics.points,
        undefined,
        at,
        points.reduce((sum, fact) => sum + (fact.value ?? 0n), 0n),
      ),
      derived: true,
    },
    ...points,
    count(id, "points-today", value.today, `${at}.today`),
    count(id, "uptime", value.duration, `${at}.duration`),
    count(id, "uptime-today", value.todayDuration, `${at}.todayDuration`),
    count(id, "taps-today", value.todayLatency, `${at}.todayLatency`),
    ...(lastActive === null ? [] : [count(id, "last-active", lastActive, `${at}.lastActive`)]),
  ];
}

function seasons(id: string | null, value: LosslessJson | undefined, at: string): ParsedFact[] {
  return Object.entries(objectAt(value, at)).map(([number, points]) => {
    if (!/^[0-9]{1,6}$/.test(number)) throw new NetworkError("shape", `${at} has the season ${number.slice(0, 40)}`);
    return count(id, `season-points:${number}`, points, `${at}.${number}`);
  });
}

function accountDay(item: LosslessJson, index: number): ParsedFact[] {
  const value = objectAt(item, `data[${index}]`);
  const day = dayAt(value.id, `data[${index}].id`);
  return (["node", "referral", "bonus", "boost"] as const).map((name) => ({
    ...count(null, `points-day-${name}`, value[name], `data[${index}].${name}`),
    day,
  }));
}

function nodeDay(id: string, item: LosslessJson, index: number): ParsedFact[] {
  const value = objectAt(item, `data[${index}]`);
  const told = textAt(value.node, `data[${index}].node`);
  if (told !== id) throw new NetworkError("shape", `data[${index}].node is ${told}, another node than was asked for`);
  const day = dayAt(value.id, `data[${index}].id`);
  return [
    { ...count(id, "uptime-day", value.duration, `data[${index}].duration`), day },
    { ...count(id, "taps-day", value.latency, `data[${index}].latency`), day },
  ];
}

function dayAt(value: LosslessJson | undefined, at: string): string {
  const written = textAt(value, at);
  if (!/^[0-9]{8}$/.test(written)) {
    throw new NetworkError("shape", `${at} should be a day YYYYMMDD and is ${written.slice(0, 40)}`);
  }
  return dayIn(`${written.slice(0, 4)}-${written.slice(4, 6)}-${written.slice(6)}`, at);
}

function count(
  networkNodeId: string | null,
  metric: string,
  value: LosslessJson | undefined,
  at: string,
  computed?: bigint,
): ParsedFact {
  return { metric, networkNodeId, value: computed ?? countAt(value, at), text: null, day: null, derived: false };
}

function text(networkNodeId: string, metric: string, value: string): ParsedFact {
  return { metric, networkNodeId, value: null, text: value, day: null, derived: false };
}
