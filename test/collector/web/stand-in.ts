import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import {
  type AlertItem,
  AlertList,
  type ChangeItem,
  type GapItem,
  GapList,
  NodeItem,
  NodeList,
  type ProblemDetails,
  type RecoveryAction,
  RecoveryActionList,
  RecoveryMark,
  RecoveryState,
  type SampleItem,
  SampleList,
  type StateItem,
  StateList,
} from "../../../collector/api/types.ts";
import { contentSecurityPolicy } from "../../../collector/web/policy.ts";

/**
 * A stand-in for the collector's server, for tests of the page alone: it serves the built page under the page's own
 * policy, answers the API's paths from what a test put there, held to the API's own schemas, and streams changes.
 */
export interface StandIn {
  readonly origin: string;
  readonly nodes: Map<string, NodeItem>;
  readonly states: StateItem[];
  readonly events: SampleItem[];
  readonly gaps: GapItem[];
  readonly alerts: Map<string, AlertItem>;
  readonly recovery: { state: RecoveryState; readonly actions: RecoveryAction[] };
  /** Every request's method, path and query, in order. */
  readonly requests: string[];
  /** Answers every API request with this problem while it is set. */
  problem: ProblemDetails | null;
  /** Sends a change as the collector would after it stored one. */
  readonly tell: (topic: string, subject: string) => void;
  /** Puts a node in the place of the one with its key and tells of it. */
  readonly put: (node: NodeItem) => void;
  /** How many pages listen to the stream now. */
  readonly listeners: () => number;
  /** Ends every stream, and answers no new one until `resume` is called. */
  readonly interrupt: () => void;
  readonly resume: () => void;
  readonly close: () => Promise<void>;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

const pageSize = 50;

/** Starts a stand-in on a free port of the loopback address, serving the page built into `folder`. */
export async function startStandIn(folder: string): Promise<StandIn> {
  const nodes = new Map<string, NodeItem>();
  const states: StateItem[] = [];
  const events: SampleItem[] = [];
  const gaps: GapItem[] = [];
  const alerts = new Map<string, AlertItem>();
  const recovery = {
    state: { asOf: new Date().toISOString(), brake: null, nodes: [] } as RecoveryState,
    actions: [] as RecoveryAction[],
  };
  const requests: string[] = [];
  const changes: ChangeItem[] = [];
  const streams = new Set<ServerResponse>();
  let refusing = false;

  const send = (response: ServerResponse, change: ChangeItem) =>
    response.write(`event: change\nid: ${change.id}\ndata: ${JSON.stringify(change)}\n\n`);

  const standIn: StandIn = {
    origin: "",
    nodes,
    states,
    events,
    gaps,
    alerts,
    recovery,
    requests,
    problem: null,
    tell: (topic, subject) => {
      const change = { id: String(changes.length + 1), at: new Date().toISOString(), topic, subject };
      changes.push(change);
      for (const stream of streams) send(stream, change);
    },
    put: (node) => {
      nodes.set(node.key, NodeItem.parse(node));
      standIn.tell("node", node.key);
    },
    listeners: () => streams.size,
    interrupt: () => {
      refusing = true;
      for (const stream of streams) stream.destroy();
    },
    resume: () => {
      refusing = false;
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };

  const answer = (path: string, query: URLSearchParams): unknown => {
    if (path === "nodes") {
      const all = [...nodes.values()];
      const from = Number(query.get("after") ?? 0);
      const next = from + pageSize < all.length ? String(from + pageSize) : null;
      return NodeList.parse({ items: all.slice(from, from + pageSize), next });
    }
    if (path === "alerts") return AlertList.parse({ items: [...alerts.values()], next: null });
    if (path === "recovery") return RecoveryState.parse(recovery.state);
    if (path === "recovery/actions") return RecoveryActionList.parse({ items: recovery.actions, next: null });
    const [, word] = /^recovery\/(pause|release)$/.exec(path) ?? [];
    if (word !== undefined) {
      const at = new Date().toISOString();
      const brake = { cause: "operator", reason: "The operator paused it.", since: at } as const;
      recovery.state = { ...recovery.state, brake: word === "pause" ? brake : null };
      standIn.tell("recovery", "");
      return RecoveryMark.parse({ changed: true, at });
    }
    const [, alertId] = /^alerts\/([0-9]+)\/ack$/.exec(path) ?? [];
    const alert = alerts.get(alertId ?? "");
    if (alert !== undefined) {
      const at = new Date().toISOString();
      alerts.set(alert.id, { ...alert, acknowledgedAt: at, readAt: at });
      standIn.tell("alert", "");
      return { id: alert.id, at };
    }
    const [, key = "", list] = /^nodes\/([a-z0-9-]+\/[0-9]+)(?:\/([a-z]+))?$/.exec(path) ?? [];
    const node = nodes.get(key);
    if (node === undefined) return undefined;
    switch (list) {
      case undefined:
        return node;
      case "states":
        return StateList.parse({ items: states, next: null });
      case "samples":
        return SampleList.parse({ items: events.filter((item) => item.kind === query.get("kind")), next: null });
      case "gaps":
        return GapList.parse({ items: gaps, next: null });
      default:
        return undefined;
    }
  };

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://stand-in");
    requests.push(`${request.method} ${url.pathname}${url.search}`);
    const path = url.pathname.replace(/^\/api\/v1\//, "");
    if (url.pathname === "/api/v1/stream") {
      if (refusing) return void response.destroy();
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.write(": here\n\n");
      const after = url.searchParams.get("after");
      if (after !== null) for (const change of changes.slice(Number(after))) send(response, change);
      streams.add(response);
      response.on("close", () => streams.delete(response));
      return;
    }
    if (url.pathname.startsWith("/api/v1/")) {
      const body = standIn.problem ?? answer(path, url.searchParams) ?? notFound(path);
      const failed = "code" in (body as object);
      response.writeHead(failed ? (body as ProblemDetails).status : 200, {
        "content-type": failed ? "application/problem+json" : "application/json",
      });
      response.end(JSON.stringify(body));
      return;
    }
    const file = normalize(url.pathname === "/" ? "/index.html" : url.pathname);
    readFile(join(folder, file)).then(
      (content) => {
        response.writeHead(200, {
          "content-type": types[extname(file)] ?? "application/octet-stream",
          "content-security-policy": contentSecurityPolicy,
        });
        response.end(content);
      },
      () => {
        response.writeHead(404);
        response.end();
      },
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(standIn, { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

function notFound(path: string): ProblemDetails {
  return {
    type: "about:blank",
    title: "Not found",
    status: 404,
    detail: `There is nothing at ${path}.`,
    code: "not-found",
    fix: "See the API's description for its paths.",
  };
}
