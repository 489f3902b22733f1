import { nodeMetrics, type ParsedFact, referralMetrics } from "../adapter.ts";
import {
  arrayAt,
  booleanAt,
  countAt,
  dayIn,
  decimalIn,
  type LosslessJson,
  objectAt,
  parseLossless,
  textAt,
} from "../lossless.ts";
import { NetworkError } from "../outcome.ts";
import { errorOfPage } from "./standing.ts";

/**
 * What the answers say that Gradient's dashboard receives, and its table of nodes. Neither is documented, so a member or a
 * column that was never seen makes the whole answer a `shape` error, as a missing one does: what it means nobody knows yet.
 * Points are integers in units of 1/100 000 point; days are `YYYYMMDD` in UTC; lengths are milliseconds.
 */

type Json = { readonly [name: string]: LosslessJson };

/** The decimals of a point. */
export const pointDecimals = 5;

/**
 * Returns the facts in the answer to `call`: a path below the API's address, or `page/nodes` for what the page itself
 * shows. @throws NetworkError `shape` for an unknown form, `blocked` for a page that refuses, `auth` where the envelope
 * says so.
 */
export function parseGradient(call: string, body: string): readonly ParsedFact[] {
  const value = parseLossless(body);
  const [path = ""] = call.split("?");
  if (path.startsWith("page/")) return pageFacts(path, objectAt(value, "the answer"));
  if (path === "status") {
    const { time } = known(value, "the answer", ["ip", "time"]);
    return [number(null, "network-time", countAt(time, "time"))];
  }
  const envelope = known(value, "the answer", ["code", "data", "msg"]);
  const code = countAt(envelope.code, "code");
  const [, getId] = /^sentrynode\/get\/([\w-]+)$/.exec(path) ?? [];
  if (getId !== undefined && code === 404n) return [word(getId, nodeMetrics.presence, "absent")];
  if (code === 401n) throw new NetworkError("auth", "the envelope's code is 401");
  if (code !== 200n) throw new NetworkError("unknown", `the envelope's code is ${code}`);
  if (!Object.hasOwn(envelope, "data")) throw new NetworkError("shape", "the envelope has no data");
  const { data } = envelope;
  if (path === "user/profile") return profileFacts(data);
  if (path === "point/stats") return arrayAt(data, "data").flatMap(accountDay);
  if (path === "sentrynode/list") {
    return arrayAt(data, "data").flatMap((item, index) => nodeFacts(item, `data[${index}]`));
  }
  if (getId !== undefined) return nodeFacts(data, "data");
  const [, statsId] = /^sentrynode\/stats\/([\w-]+)$/.exec(path) ?? [];
  if (statsId !== undefined) return arrayAt(data, "data").flatMap((item, index) => nodeDay(statsId, item, index));
  throw new NetworkError("shape", `no form is known for ${path}`);
}

/** Returns id and name of the nodes in an answer to `sentrynode/list`. @throws NetworkError `shape` for another form. */
export function listedNodes(body: string): readonly ListedNode[] {
  const { data } = objectAt(parseLossless(body), "the answer");
  return arrayAt(data, "data").map((item, index) => listedNode(item, `data[${index}]`));
}

/** Returns how many nodes an answer to `user/profile` counts, null where it counts none. @throws NetworkError `shape`. */
export function countedNodes(body: string): bigint | null {
  const { node } = objectAt(objectAt(parseLossless(body), "the answer").data, "data");
  return node === undefined ? null : countAt(objectAt(node, "data.node").sentry, "data.node.sentry");
}

/** A node as the page's own data names it. */
export interface ListedNode {
  readonly id: string;
  readonly name: string;
}

function listedNode(item: LosslessJson | undefined, at: string): ListedNode {
  const value = objectAt(item, at);
  return { id: textAt(value.id, `${at}.id`), name: textAt(value.name, `${at}.name`) };
}

const profileMembers = "name email code seasonNo season stats point node referredBy".split(" ");

function profileFacts(data: LosslessJson | undefined): ParsedFact[] {
  const profile = known(data, "data", profileMembers);
  const stats = known(profile.stats, "data.stats", ["invitee", "pending"]);
  return [
    ...seasons(null, profile.season, "data.season"),
    number(null, referralMetrics.invitee, countAt(stats.invitee, "data.stats.invitee")),
    number(null, referralMetrics.pending, countAt(stats.pending, "data.stats.pending")),
    ...(profile.point === undefined
      ? []
      : [number(null, nodeMetrics.points, memberCount(profile.point, "data.point", "total"))]),
    ...(profile.node === undefined ? [] : [number(null, "nodes", memberCount(profile.node, "data.node", "sentry"))]),
  ];
}

function memberCount(value: LosslessJson, at: string, name: string): bigint {
  return countAt(known(value, at, [name])[name], `${at}.${name}`);
}

const nodeMembers =
  "id name active connect status lastActive createAt duration today todayDuration todayLatency score season banned bannedReason ip location".split(
    " ",
  );

function nodeFacts(item: LosslessJson | undefined, at: string): ParsedFact[] {
  const value = known(item, at, nodeMembers);
  const id = textAt(value.id, `${at}.id`);
  const banned = booleanAt(value.banned, `${at}.banned`);
  const points = seasons(id, value.season, `${at}.season`);
  const total = points.reduce((sum, fact) => sum + (fact.value ?? 0n), 0n);
  const { status, connect, lastActive, bannedReason } = value;
  return [
    // The word is the page's; where the data holds one too, it is the same.
    ...(status === undefined ? [] : [word(id, nodeMetrics.verdict, textAt(status, `${at}.status`))]),
    ...(banned && typeof bannedReason === "string"
      ? [word(id, nodeMetrics.verdictReason, textAt(bannedReason, `${at}.bannedReason`))]
      : []),
    word(id, "active", String(booleanAt(value.active, `${at}.active`))),
    word(id, "banned", String(banned)),
    ...(connect === undefined ? [] : [word(id, "connect", String(booleanAt(connect, `${at}.connect`)))]),
    { ...number(id, nodeMetrics.points, total), derived: true },
    ...points,
    number(id, "points-today", countAt(value.today, `${at}.today`)),
    number(id, "uptime", countAt(value.duration, `${at}.duration`)),
    number(id, "uptime-today", countAt(value.todayDuration, `${at}.todayDuration`)),
    number(id, "taps-today", countAt(value.todayLatency, `${at}.todayLatency`)),
    ...(lastActive === null ? [] : [number(id, "last-active", countAt(lastActive, `${at}.lastActive`))]),
  ];
}

function seasons(id: string | null, value: LosslessJson | undefined, at: string): ParsedFact[] {
  return Object.entries(objectAt(value, at)).map(([season, points]) => {
    if (!/^[0-9]{1,6}$/.test(season)) throw new NetworkError("shape", `${at} has the season ${season.slice(0, 40)}`);
    return number(id, `season-points:${season}`, countAt(points, `${at}.${season}`));
  });
}

const accountDayAmounts = ["node", "referral", "bonus", "boost"] as const;

function accountDay(item: LosslessJson, index: number): ParsedFact[] {
  const at = `data[${index}]`;
  const value = known(item, at, ["id", ...accountDayAmounts]);
  const day = dayAt(value.id, `${at}.id`);
  return accountDayAmounts.map((name) => ({
    ...number(null, `points-day-${name}`, countAt(value[name], `${at}.${name}`)),
    day,
  }));
}

function nodeDay(id: string, item: LosslessJson, index: number): ParsedFact[] {
  const at = `data[${index}]`;
  const value = known(item, at, ["id", "node", "duration", "latency"]);
  if (textAt(value.node, `${at}.node`) !== id) {
    throw new NetworkError("shape", `${at}.node is another node than was asked for`);
  }
  const day = dayAt(value.id, `${at}.id`);
  return [
    { ...number(id, "uptime-day", countAt(value.duration, `${at}.duration`)), day },
    { ...number(id, "taps-day", countAt(value.latency, `${at}.latency`)), day },
  ];
}

function dayAt(value: LosslessJson | undefined, at: string): string {
  const written = textAt(value, at);
  if (!/^[0-9]{8}$/.test(written)) {
    throw new NetworkError("shape", `${at} should be a day YYYYMMDD and is ${written.slice(0, 40)}`);
  }
  return dayIn(`${written.slice(0, 4)}-${written.slice(4, 6)}-${written.slice(6)}`, at);
}

/** What the table's columns are called; those without a reader name the node or repeat what the data says. */
const columns: Readonly<Record<string, ((id: string, cell: string, at: string) => ParsedFact) | null>> = {
  Node: null,
  Status: (id, cell) => word(id, nodeMetrics.verdict, cell),
  IP: null,
  "Today's Taps": (id, cell, at) => number(id, "taps-today-shown", decimalIn(cell, 0, at)),
  "Today's Uptime": (id, cell, at) => number(id, "uptime-today-shown", minutesIn(cell, at)),
  "Today's Reward": (id, cell, at) => number(id, "points-today-shown", decimalIn(cell, pointDecimals, at)),
  Points: (id, cell, at) => number(id, "points-shown", decimalIn(cell, pointDecimals, at)),
  "Node ID": null,
};

/**
 * A page that was read is `{path, heads, rows, listed}`: the table's cells as they are shown, and the nodes of the page's
 * own data, null where it had none. A page of another kind is `{path, text, frames}`.
 */
function pageFacts(call: string, page: Json): ParsedFact[] {
  if (page.text !== undefined) {
    throw errorOfPage({
      path: textAt(page.path, "path"),
      text: longTextAt(page.text, "text"),
      frames: arrayAt(page.frames, "frames").map((frame, index) => textAt(frame, `frames[${index}]`)),
    });
  }
  if (call !== "page/nodes") throw new NetworkError("shape", `no form is known for ${call}`);
  const { heads: written, rows: lines, listed } = known(page, "the page", ["path", "heads", "rows", "listed"]);
  const heads = arrayAt(written, "heads").map((head, index) => textAt(head, `heads[${index}]`));
  const rows = arrayAt(lines, "rows");
  const nodes = listed === null ? null : arrayAt(listed, "listed").map((one, i) => listedNode(one, `listed[${i}]`));
  if (rows.length === 0) {
    if (nodes?.length === 0) return [];
    throw new NetworkError("shape", "the table of nodes is empty, and the page's own data does not say why");
  }
  const strange = heads.find((head) => !Object.hasOwn(columns, head));
  if (strange !== undefined) throw new NetworkError("shape", `no column is known by ${strange.slice(0, 60)}`);
  if (heads[1] !== "Status" || new Set(heads).size !== heads.length) {
    throw new NetworkError("shape", "the second column is not Status, or a column is there twice");
  }
  const seen = new Set<string>();
  return rows.flatMap((row, index) => {
    const at = `rows[${index}]`;
    const cells = arrayAt(row, at).map((cell, column) => textAt(cell, `${at}[${column}]`));
    if (cells.length !== heads.length) throw new NetworkError("shape", `${at} has ${cells.length} cells`);
    const id = nodeOfRow(cells, heads, nodes, at);
    if (seen.has(id)) throw new NetworkError("shape", `${at} is a node that stands there twice`);
    seen.add(id);
    return heads.flatMap((head, column) => columns[head]?.(id, cells[column] ?? "", `${at}.${head}`) ?? []);
  });
}

/** A row is of the node whose id stands in it, or whose name does where no other node has that name. */
function nodeOfRow(
  cells: readonly string[],
  heads: readonly string[],
  nodes: readonly ListedNode[] | null,
  at: string,
): string {
  const shown = cells[heads.indexOf("Node ID")];
  if (shown !== undefined && shown !== "" && (nodes === null || nodes.some(({ id }) => id === shown))) return shown;
  const named = nodes?.filter(({ name }) => name !== "" && cells[0] === name) ?? [];
  const [only] = named;
  if (only !== undefined && named.length === 1) return only.id;
  throw new NetworkError("shape", `${at} does not tell which node it is of`);
}

function minutesIn(cell: string, at: string): bigint {
  const [, hours, minutes] = /^([0-9]{2}):([0-5][0-9])$/.exec(cell) ?? [];
  if (hours === undefined || minutes === undefined) {
    throw new NetworkError("shape", `${at} should be HH:MM and is ${cell.slice(0, 40)}`);
  }
  return BigInt(hours) * 60n + BigInt(minutes);
}

function longTextAt(value: LosslessJson, what: string): string {
  if (typeof value === "string") return value;
  throw new NetworkError("shape", `${what} should be text`);
}

/** Returns the members of an object that has no others than `names`. @throws NetworkError `shape` naming the first other. */
function known(value: LosslessJson | undefined, what: string, names: readonly string[]): Json {
  const object = objectAt(value, what);
  const strange = Object.keys(object).find((name) => !names.includes(name));
  if (strange === undefined) return object;
  throw new NetworkError("shape", `${what} has the member ${strange.slice(0, 60)}, which was never seen before`);
}

function number(networkNodeId: string | null, metric: string, value: bigint): ParsedFact {
  return { metric, networkNodeId, value, text: null, day: null, derived: false };
}

function word(networkNodeId: string | null, metric: string, text: string): ParsedFact {
  return { metric, networkNodeId, value: null, text, day: null, derived: false };
}
