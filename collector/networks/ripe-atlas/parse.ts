import { nodeMetrics, type ParsedFact } from "../adapter.ts";
import { arrayAt, booleanAt, countAt, type LosslessJson, objectAt, parseLossless, textAt } from "../lossless.ts";
import { NetworkError } from "../outcome.ts";

/**
 * What the public API of RIPE Atlas, version 2, answers. Members that it adds are left in the reading; a member that is
 * missing or of another type makes the whole answer a `shape` error.
 */

type Json = { readonly [name: string]: LosslessJson };

/**
 * Returns the facts in the answer to `call`: the path below `/api/v2/` with its query, then `#` and the ids that were
 * asked for. The API ignores a filter that it does not know, so an id that was not asked for is no answer to the question.
 * @throws NetworkError `shape` for an unknown form.
 */
export function parseRipeAtlas(call: string, body: string): readonly ParsedFact[] {
  const [asked = "", ids] = call.split("#");
  const [path = ""] = asked.split("?");
  if (path === "credits/") return credits(objectAt(parseLossless(body), "the answer"));
  if (path !== "probes/" && path !== "probes/my/") throw new NetworkError("shape", `no form is known for ${path}`);
  const wanted = ids === undefined ? null : new Set(ids.split(","));
  return probesOn(body).flatMap((item, index) => probe(item, `results[${index}]`, wanted));
}

/** Returns the address of the next page, null on the last one. @throws NetworkError `shape` for another form. */
export function nextPage(body: string): string | null {
  const { next } = objectAt(parseLossless(body), "the answer");
  return next === null ? null : textAt(next, "next");
}

function probesOn(body: string): readonly LosslessJson[] {
  const page = objectAt(parseLossless(body), "the answer");
  countAt(page.count, "count");
  if (page.next !== null) textAt(page.next, "next");
  return arrayAt(page.results, "results");
}

function probe(item: LosslessJson, at: string, wanted: ReadonlySet<string> | null): ParsedFact[] {
  const value = objectAt(item, at);
  const id = countAt(value.id, `${at}.id`).toString();
  if (wanted !== null && !wanted.has(id)) {
    throw new NetworkError("shape", `${at}.id is ${id}, which was not asked for: the filter was ignored`);
  }
  const status = objectAt(value.status, `${at}.status`);
  const maybe = (name: string, read: (found: LosslessJson, what: string) => ParsedFact): ParsedFact[] => {
    const found = value[name];
    if (found === undefined) throw new NetworkError("shape", `${at}.${name} is missing`);
    return found === null ? [] : [read(found, `${at}.${name}`)];
  };
  const seconds = (metric: string) => (found: LosslessJson, what: string) => number(id, metric, countAt(found, what));
  const asn = (metric: string) => (found: LosslessJson, what: string) =>
    word(id, metric, countAt(found, what).toString());
  const text = (metric: string) => (found: LosslessJson, what: string) => word(id, metric, textAt(found, what));
  return [
    word(id, nodeMetrics.verdict, textAt(status.name, `${at}.status.name`)),
    number(id, "status-id", countAt(status.id, `${at}.status.id`)),
    ...maybe("status_since", seconds("status-since")),
    ...maybe("first_connected", seconds("first-connected")),
    ...maybe("last_connected", seconds("last-connected")),
    ...maybe("total_uptime", seconds("uptime")),
    ...maybe("asn_v4", asn("asn-v4")),
    ...maybe("asn_v6", asn("asn-v6")),
    ...maybe("prefix_v4", text("prefix-v4")),
    ...maybe("prefix_v6", text("prefix-v6")),
    ...maybe("country_code", text("country")),
    ...maybe("firmware_version", asn("firmware")),
    word(id, "public", String(booleanAt(value.is_public, `${at}.is_public`))),
  ];
}

function credits(answer: Json): ParsedFact[] {
  return [
    number(null, "balance", countAt(answer.current_balance, "current_balance")),
    number(null, "income-estimate", countAt(answer.estimated_daily_income, "estimated_daily_income")),
    number(null, "spending-estimate", countAt(answer.estimated_daily_expenditure, "estimated_daily_expenditure")),
    number(null, "income-limit", countAt(answer.max_daily_credits, "max_daily_credits")),
    word(null, "calculated-at", textAt(answer.calculation_time, "calculation_time")),
  ];
}

function number(networkNodeId: string | null, metric: string, value: bigint): ParsedFact {
  return { metric, networkNodeId, value, text: null, day: null, derived: false };
}

function word(networkNodeId: string | null, metric: string, text: string): ParsedFact {
  return { metric, networkNodeId, value: null, text, day: null, derived: false };
}
