import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import pg from "pg";
import { z } from "zod";
import { type Log, sentenceOf } from "../log.ts";
import { changeChannel, changeExtent, changesAfter } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import { ApiProblem } from "./problem.ts";
import type { ChangeItem } from "./types.ts";

/** Hears of committed changes and wakes whoever waits for them. */
export interface ChangeBell {
  /** Calls `wake` at every change from now on, and now and then without one; returns what ends that. */
  listen(wake: () => void): () => void;
  stop(): Promise<void>;
}

const pollMs = 2_000;
const retryMs = 1_000;
const heartbeatMs = 15_000;
const batch = 500;

/**
 * Listens for PostgreSQL's notifications on a session of its own. They are a hint: a lost session is opened again, and
 * listeners are woken every two seconds in any case.
 */
export function changeBell(url: string, log: Log): ChangeBell {
  const listeners = new Set<() => void>();
  const ring = (): void => {
    for (const wake of listeners) wake();
  };
  const stopping = new AbortController();
  const stopped = new Promise<void>((resolve) => stopping.signal.addEventListener("abort", () => resolve()));

  // The session is ended where it was begun: one that is still connecting cannot be ended from outside.
  const attendOnce = async (): Promise<void> => {
    const session = new pg.Client({
      connectionString: url,
      application_name: "gradientlab-collector-stream",
      connectionTimeoutMillis: 4_000,
    });
    const lost = new Promise<void>((resolve) => {
      session.once("end", () => resolve());
      session.on("error", (error) => {
        if (!stopping.signal.aborted) log("warn", `The session for notifications was lost: ${sentenceOf(error)}`);
        resolve();
      });
    });
    session.on("notification", ring);
    await session.connect();
    try {
      await session.query(`listen ${changeChannel}`);
      await Promise.race([lost, stopped]);
    } finally {
      await session.end();
    }
  };

  const attend = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        await attendOnce();
      } catch (error) {
        if (!stopping.signal.aborted) log("warn", `No session for notifications: ${sentenceOf(error)}`);
      }
      await Promise.race([delay(retryMs, undefined, { ref: false }), stopped]);
    }
  };
  const attending = attend();
  const poll = setInterval(ring, pollMs);
  poll.unref();

  return {
    listen(wake) {
      listeners.add(wake);
      return () => listeners.delete(wake);
    },
    async stop() {
      clearInterval(poll);
      stopping.abort();
      await attending;
    },
  };
}

const Id = /^[0-9]{1,18}$/;
const Query = z.strictObject({
  after: z.string().optional().describe("Resume after this id; Last-Event-ID, which browsers send, wins."),
});

/** Serves `/stream`: changes as server-sent events, from `after` or Last-Event-ID, else from now on. */
export function serveStream(app: FastifyInstance, database: Database, bell: ChangeBell, log: Log): void {
  const open = new Set<ServerResponse>();
  app.addHook("preClose", async () => {
    for (const response of open) response.end();
  });

  app.get(
    "/stream",
    {
      schema: {
        summary: "Changes as server-sent events: event change with a ChangeItem, or reset when the id is too old.",
        querystring: Query,
      },
    },
    async (request, reply) => {
      const header = request.headers["last-event-id"];
      const asked = (typeof header === "string" ? header : undefined) ?? (request.query as z.infer<typeof Query>).after;
      if (asked !== undefined && !Id.test(asked)) {
        throw new ApiProblem(400, "bad-query", `after is ${JSON.stringify(asked)}.`, "Give the id of a change.");
      }
      const extent = await changeExtent(database);
      reply.hijack();
      const response = reply.raw;
      open.add(response);
      response.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "x-content-type-options": "nosniff",
      });
      response.write(`retry: ${retryMs}\n\n`);
      let last = asked ?? extent.last;
      if (asked !== undefined && !reaches(asked, extent)) {
        last = extent.last;
        write(response, "reset", { id: last, at: new Date().toISOString(), topic: "reset", subject: "" });
      }
      let busy = false;
      let again = false;
      const send = async (): Promise<void> => {
        if (busy) {
          again = true;
          return;
        }
        busy = true;
        try {
          do {
            again = false;
            for (let more = true; more && !response.writableEnded; ) {
              const changes = await changesAfter(database, last, batch);
              for (const change of changes) write(response, "change", change);
              last = changes.at(-1)?.id ?? last;
              more = changes.length === batch;
            }
          } while (again);
        } catch (error) {
          log("warn", `A stream was ended: ${sentenceOf(error)}`);
          response.end();
        } finally {
          busy = false;
        }
      };
      const deaf = bell.listen(() => void send());
      const heartbeat = setInterval(() => response.write(": still here\n\n"), heartbeatMs);
      response.once("close", () => {
        deaf();
        clearInterval(heartbeat);
        open.delete(response);
      });
      await send();
    },
  );
}

/** Whether all that came after the id is still kept. */
function reaches(id: string, extent: { first: string; last: string }): boolean {
  return BigInt(id) + 1n >= BigInt(extent.first) && BigInt(id) <= BigInt(extent.last);
}

function write(response: ServerResponse, event: string, change: ChangeItem): void {
  response.write(`id: ${change.id}\nevent: ${event}\ndata: ${JSON.stringify(change)}\n\n`);
}
