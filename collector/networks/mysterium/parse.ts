import { nodeMetrics, type ParsedFact } from "../adapter.ts";
import {
  arrayAt,
  countAt,
  dayIn,
  decimalAt,
  digitsAt,
  type LosslessJson,
  objectAt,
  parseLossless,
  textAt,
} from "../lossless.ts";
import { NetworkError } from "../outcome.ts";

/**
 * What a Mysterium node's own API (TequilAPI, node 1.38) answers. Amounts are read from the text `wei` of a token amount,
 * never from its rounded forms; bare numbers are read digit by digit, because they exceed 2^53. Members that a newer node
 * adds are left in the reading; a member that is missing or of another type makes the whole answer a `shape` error.
 */

/** The decimals of MYST, and of every JSON number with a fraction that is read here. */
export const decimals = 18;

/**
 * Returns the facts in the answer to `call`: the path and query that were asked, then `#` and the identity that answers
 * without one of their own are about; without it they are about the account.
 * @throws NetworkError `shape` for an unknown form.
 */
export function parseMysterium(call: string, body: string): readonly ParsedFact[] {
  const [asked = "", identity = null] = call.split("#");
  const [path = ""] = asked.split("?");
  if (path === "identities") {
    listedIdentities(body);
    return [];
  }
  const value = parseLossless(body);
  if (path === "services") return serviceFacts(value, identity);
  const answer = objectAt(value, "the answer");
  const [, id] = /^identities\/(.+)$/.exec(path) ?? [];
  if (id !== undefined) return identityFacts(id, answer);
  const parse = parsers[path];
  if (parse === undefined) throw new NetworkError("shape", `no form is known for ${path}`);
  return parse(answer, identity);
}

/** Returns the identities in an answer to `identities`. @throws NetworkError `shape` for another form. */
export function listedIdentities(body: string): readonly string[] {
  const { identities } = objectAt(parseLossless(body), "the answer");
  return arrayAt(identities, "identities").map((item, index) => {
    const id = textAt(objectAt(item, `identities[${index}]`).id, `identities[${index}].id`);
    if (!/^0x[0-9a-fA-F]{40}$/.test(id)) throw new NetworkError("shape", `identities[${index}].id is no identity`);
    return id;
  });
}

type Json = { readonly [name: string]: LosslessJson };
type Parse = (answer: Json, identity: string | null) => ParsedFact[];

const parsers: Readonly<Record<string, Parse>> = {
  healthcheck: (answer, identity) => [
    number(identity, "process-uptime", durationAt(answer.uptime, "uptime")),
    word(identity, "version", textAt(answer.version, "version")),
  ],
  "nat/type": (answer, identity) => [
    word(identity, "nat-type", textAt(answer.type, "type")),
    ...(answer.error === undefined ? [] : [word(identity, "nat-error", textAt(answer.error, "error"))]),
  ],
  "node/monitoring-status": (answer, identity) => [
    word(identity, nodeMetrics.verdict, textAt(answer.status, "status")),
  ],
  "node/provider/quality": (answer, identity) => [
    number(identity, "quality", decimalAt(answer.quality, decimals, "quality")),
  ],
  "node/provider/activity-stats": (answer, identity) => [
    number(identity, "online", decimalAt(answer.online_percent, decimals, "online_percent")),
    number(identity, "active", decimalAt(answer.active_percent, decimals, "active_percent")),
  ],
  "node/provider/service-earnings": serviceEarnings,
  "sessions/stats-daily": (answer, identity) =>
    Object.entries(objectAt(answer.items, "items")).flatMap(([day, item]) => dayFacts(identity, day, item)),
  terms: (answer, identity) => [
    word(identity, "terms-agreed", textAt(answer.agreed_version, "agreed_version")),
    word(identity, "terms-current", textAt(answer.current_version, "current_version")),
  ],
};

function identityFacts(id: string, answer: Json): ParsedFact[] {
  const told = textAt(answer.id, "id");
  if (told !== id) throw new NetworkError("shape", `id is ${told.slice(0, 60)}, another identity than was asked for`);
  return [
    word(id, "registration", textAt(answer.registration_status, "registration_status")),
    number(id, nodeMetrics.points, weiAt(answer.earnings_total_tokens, "earnings_total_tokens")),
    number(id, "unsettled", weiAt(answer.earnings_tokens, "earnings_tokens")),
    number(id, "balance", weiAt(answer.balance_tokens, "balance_tokens")),
    number(id, "stake", countAt(answer.stake, "stake")),
  ];
}

function serviceFacts(value: LosslessJson, identity: string | null): ParsedFact[] {
  const seen = new Set<string>();
  return arrayAt(value, "the answer").flatMap((item, index) => {
    const service = objectAt(item, `[${index}]`);
    const type = textAt(service.type, `[${index}].type`);
    if (!/^[a-z0-9_-]{1,40}$/.test(type) || seen.has(type)) {
      throw new NetworkError("shape", `[${index}].type is ${JSON.stringify(type.slice(0, 40))}, odd or there twice`);
    }
    seen.add(type);
    const statistics = objectAt(service.connection_statistics, `[${index}].connection_statistics`);
    return [
      word(identity, `service:${type}`, textAt(service.status, `[${index}].status`)),
      number(identity, `attempted:${type}`, countAt(statistics.attempted, `[${index}].attempted`)),
      number(identity, `successful:${type}`, countAt(statistics.successful, `[${index}].successful`)),
    ];
  });
}

// The sums over whole services are the network's, not the node's.
const earningServices = ["public", "data_transfer", "scraping", "dvpn"] as const;

/**
 * The node writes 0 where the text it got was unreadable, and leaves the monitoring amount empty: a zero here may be a
 * failure, so none is taken for a value.
 */
function serviceEarnings(answer: Json, identity: string | null): ParsedFact[] {
  return earningServices.flatMap((service) => {
    const amount = weiAt(answer[`${service}_tokens`], `${service}_tokens`);
    return amount === 0n ? [] : [number(identity, `service-earnings:${service}`, amount)];
  });
}

function dayFacts(identity: string | null, written: string, item: LosslessJson): ParsedFact[] {
  const at = `items.${written.slice(0, 20)}`;
  const day = dayIn(written, at);
  const value = objectAt(item, at);
  return Object.entries(dayMetrics).map(([name, metric]) => ({
    ...number(identity, metric, countAt(value[name], `${at}.${name}`)),
    day,
  }));
}

const dayMetrics = {
  count: "sessions-day",
  count_consumers: "consumers-day",
  sum_bytes_received: "received-day",
  sum_bytes_sent: "sent-day",
  sum_duration: "duration-day",
  sum_tokens: "earned-day",
} as const;

function weiAt(value: LosslessJson | undefined, what: string): bigint {
  return digitsAt(objectAt(value, what).wei, `${what}.wei`);
}

const nanoseconds: Readonly<Record<string, bigint>> = {
  h: 3_600_000_000_000n,
  m: 60_000_000_000n,
  s: 1_000_000_000n,
  ms: 1_000_000n,
  "\u00b5s": 1_000n,
  us: 1_000n,
  ns: 1n,
};

/** Returns a duration as Go writes it (`25h53m33.12s`) in nanoseconds, exactly. */
function durationAt(value: LosslessJson | undefined, what: string): bigint {
  const written = textAt(value, what);
  if (!/^(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:h|ms|m|s|\u00b5s|us|ns))+$/.test(written)) {
    throw new NetworkError("shape", `${what} should be a duration and is ${JSON.stringify(written.slice(0, 40))}`);
  }
  let sum = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of written.matchAll(/([0-9]+)(?:\.([0-9]+))?([a-z\u00b5]+)/g)) {
    const each = nanoseconds[unit] ?? 0n;
    sum += BigInt(whole) * each + (BigInt(fraction || "0") * each) / 10n ** BigInt(fraction.length);
  }
  return sum;
}

function number(networkNodeId: string | null, metric: string, value: bigint): ParsedFact {
  return { metric, networkNodeId, value, text: null, day: null, derived: false };
}

function word(networkNodeId: string | null, metric: string, text: string): ParsedFact {
  return { metric, networkNodeId, value: null, text, day: null, derived: false };
}
