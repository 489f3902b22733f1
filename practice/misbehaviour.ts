import { setTimeout as delay } from "node:timers/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { AskedVerdict } from "./network.ts";
import { messagePage } from "./pages.ts";
import type { State } from "./state.ts";

/** Misbehaviour on request, for tests of those who read the network. It ends by its count, by its time or when cleared. */

const until = { seconds: z.number().positive().max(86_400).optional() };
const scope = {
  /** The start of the paths it applies to. */
  path: z.string().startsWith("/").default("/"),
  /** How many requests it applies to; all of them when absent. */
  count: z.int().positive().optional(),
  ...until,
};

export const MisbehaviourRequest = z.discriminatedUnion("kind", [
  /** Answers only after `ms` milliseconds. */
  z.strictObject({ kind: z.literal("late"), ms: z.int().min(1).max(600_000), ...scope }),
  /** Answers with this HTTP status and nothing else of use. */
  z.strictObject({ kind: z.literal("status"), status: z.int().min(400).max(599).default(500), ...scope }),
  /** Answers 429 with a `Retry-After` header. */
  z.strictObject({ kind: z.literal("too-many-requests"), retryAfterSeconds: z.int().min(0).max(86_400), ...scope }),
  /** Answers 401, as if the token were no longer good. */
  z.strictObject({ kind: z.literal("signed-out"), ...scope }),
  /** Gives every field `from` in the answer the name `to`. */
  z.strictObject({ kind: z.literal("renamed-field"), from: z.string().min(1), to: z.string().min(1), ...scope }),
  /** Gives every object in the answer's data one more field. */
  z.strictObject({ kind: z.literal("added-field"), name: z.string().min(1), ...scope }),
  /** Answers with an empty list where the data is a list. */
  z.strictObject({ kind: z.literal("empty-list"), ...scope }),
  /** Answers with the data alone, without the envelope. */
  z.strictObject({ kind: z.literal("no-envelope"), ...scope }),
  /** Answers with a page of HTML and status 200 where JSON was asked for. */
  z.strictObject({ kind: z.literal("html"), ...scope }),
  /** Answers with the page of a region that the network does not serve. */
  z.strictObject({ kind: z.literal("region-block"), ...scope }),
  /** Answers with a page that wants a captcha solved, status 403. */
  z.strictObject({ kind: z.literal("captcha"), ...scope }),
  /** Answers with a page that asks to agree to other terms. */
  z.strictObject({ kind: z.literal("terms"), ...scope }),
  /** Calls a node `Unsupported`, for a reason; its heartbeats earn nothing meanwhile. */
  z.strictObject({ kind: z.literal("unsupported"), clientid: z.string(), reason: z.string().min(1), ...until }),
  /** Gives a node a status word of one's own choice. */
  z.strictObject({ kind: z.literal("node-status"), clientid: z.string(), status: z.string().min(1), ...until }),
]);
export type MisbehaviourRequest = z.infer<typeof MisbehaviourRequest>;

/** A misbehaviour that is under way; `untilRealAt` is real time in ms, null where no time was given. */
export interface Misbehaviour {
  readonly id: number;
  readonly request: MisbehaviourRequest;
  readonly remaining: number | null;
  readonly untilRealAt: number | null;
}

/** Returns the misbehaviours that are under way at `realAt`, oldest first. */
export function underWay(state: State, realAt: number): readonly Misbehaviour[] {
  return state
    .misbehaviours()
    .map(({ request, ...row }) => ({ ...row, request: MisbehaviourRequest.parse(JSON.parse(request)) }))
    .filter(({ remaining, untilRealAt }) => (remaining ?? 1) > 0 && (untilRealAt ?? Infinity) > realAt);
}

/** Starts a misbehaviour and returns its id. */
export function startMisbehaviour(state: State, request: MisbehaviourRequest, realAt: number): number {
  const count = "count" in request ? (request.count ?? null) : null;
  const untilRealAt = request.seconds === undefined ? null : Math.ceil(realAt + request.seconds * 1000);
  const row = state.addMisbehaviour(JSON.stringify(request), count, untilRealAt);
  if (row === undefined) throw new Error("The misbehaviour was not stored.");
  return row.id;
}

/** Returns what has been asked to be said of a node; of several requests the latest holds. */
export function askedVerdict(state: State, clientid: string, realAt: number): AskedVerdict {
  let asked: AskedVerdict = { unsupported: null, status: null };
  for (const { request } of underWay(state, realAt)) {
    if (request.kind === "unsupported" && request.clientid === clientid)
      asked = { ...asked, unsupported: request.reason };
    if (request.kind === "node-status" && request.clientid === clientid) asked = { ...asked, status: request.status };
  }
  return asked;
}

/** Returns `value` with every field named `from`, at any depth, named `to`. */
function withRenamedField(value: unknown, from: string, to: string): unknown {
  if (Array.isArray(value)) return value.map((item) => withRenamedField(item, from, to));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name === from ? to : name, withRenamedField(inner, from, to)]),
  );
}

type Rewrite = (payload: unknown) => unknown;

/**
 * Makes the service misbehave as the state asks, before a request reaches its route: what it answers for has not
 * happened. `path` of a request is compared without its query. Requests below `spared` are always served well.
 */
export function misbehaveOn(
  app: FastifyInstance,
  {
    state,
    realNow,
    spared,
    closing,
  }: {
    readonly state: State;
    readonly realNow: () => number;
    readonly spared: string;
    readonly closing: AbortSignal;
  },
): void {
  const rewrites = new WeakMap<FastifyRequest, Rewrite[]>();

  app.addHook("onRequest", async (request, reply) => {
    const path = request.url.split("?", 1)[0] ?? request.url;
    if (path.startsWith(spared)) return;
    for (const { id, request: asked, remaining } of underWay(state, realNow())) {
      if (!("path" in asked) || !path.startsWith(asked.path)) continue;
      if (remaining !== null) state.spendMisbehaviour(id);
      if (asked.kind === "late") await delay(asked.ms, undefined, { signal: closing });
      else if (asked.kind === "renamed-field")
        add(rewrites, request, (payload) => withRenamedField(payload, asked.from, asked.to));
      else if (asked.kind === "added-field") add(rewrites, request, (payload) => withAddedField(payload, asked.name));
      else if (asked.kind === "empty-list") add(rewrites, request, withoutItems);
      else if (asked.kind === "no-envelope") add(rewrites, request, dataOf);
      else return answer(reply, asked);
    }
    return undefined;
  });

  app.addHook("preSerialization", async (request, _reply, payload) =>
    (rewrites.get(request) ?? []).reduce<unknown>((value, rewrite) => rewrite(value), payload),
  );
}

function add(rewrites: WeakMap<FastifyRequest, Rewrite[]>, request: FastifyRequest, rewrite: Rewrite): void {
  rewrites.set(request, [...(rewrites.get(request) ?? []), rewrite]);
}

/** Returns the envelope with one more field in every object of its data. */
function withAddedField(payload: unknown, name: string): unknown {
  const widened = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(widened);
    return value !== null && typeof value === "object" ? { ...value, [name]: 0 } : value;
  };
  return payload !== null && typeof payload === "object" && "data" in payload
    ? { ...payload, data: widened(payload.data) }
    : payload;
}

/** Returns the envelope with an empty list where its data is a list. */
function withoutItems(payload: unknown): unknown {
  return Array.isArray(dataOf(payload)) ? { ...(payload as object), data: [] } : payload;
}

function dataOf(payload: unknown): unknown {
  return payload !== null && typeof payload === "object" && "data" in payload ? payload.data : payload;
}

type Answering = Exclude<
  Extract<MisbehaviourRequest, { path: string }>,
  { kind: "late" | "renamed-field" | "added-field" | "empty-list" | "no-envelope" }
>;

function answer(reply: FastifyReply, asked: Answering): FastifyReply {
  const envelope = (status: number, msg: string): FastifyReply =>
    reply.code(status).send({ code: status, data: null, msg });
  const page = (status: number, title: string, text: string, on?: string): FastifyReply =>
    reply
      .code(status)
      .type("text/html; charset=utf-8")
      .send(messagePage(title, text, on));
  switch (asked.kind) {
    case "status":
      return envelope(asked.status, "This failure was asked for.");
    case "too-many-requests":
      return reply
        .code(429)
        .header("retry-after", asked.retryAfterSeconds)
        .send({ code: 429, data: null, msg: "Too many requests." });
    case "signed-out":
      return envelope(401, "The token is not valid any more: sign in again.");
    case "html":
      return page(200, "Just a moment", "This is a page where JSON was asked for.");
    case "region-block":
      return page(200, "Not available", "Sorry, Gradient is not yet available in your region.");
    case "terms":
      return page(200, "Terms of Service", "Our terms have changed. Accept the new terms to go on.");
    case "captcha":
      return page(403, "Verify you are human", "Complete the captcha to go on.", "I am a person");
  }
}
