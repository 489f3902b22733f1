import { ExplainedError } from "../../../infra/problem.ts";
import type { ChangeItem } from "../../api/types.ts";
import { readNode, readNodes, readOpenAlerts, readRecovery, streamUrl } from "./api.ts";
import { backoff } from "./backoff.ts";
import { collectorNow } from "./clock.ts";
import { type Failure, type LiveEvent, type LiveState, nothingYet, reduceLive } from "./live-state.ts";

// Changes that come within this time are read together; more touched nodes than the limit are read as one list.
const gatherMs = 200;
const readSinglyAtMost = 8;
// The stream tells of every change; this finds the one that a fault in between swallowed.
const readAllEveryMs = 60_000;

/** A fleet that is followed: its state now, and how to hear of the next one. */
export interface Live {
  readonly state: () => LiveState;
  readonly subscribe: (listener: () => void) => () => void;
  /** Tries again at once instead of at the next planned try. */
  readonly retry: () => void;
}

/**
 * Starts to follow the fleet for as long as the page lives: reads every node, listens to the stream of changes, reads
 * what they touch, and comes back with growing pauses, from the last change seen, when the connection breaks.
 */
export function follow(): Live {
  const never = new AbortController().signal;
  const listeners = new Set<() => void>();
  let state = nothingYet;
  let touched = new Set<string>();
  let everything = false;
  let alerts = false;
  let recovery = false;
  let reading = false;
  let gathering: ReturnType<typeof setTimeout> | undefined;
  let readFailures = 0;
  let source: EventSource | undefined;
  let reopening: ReturnType<typeof setTimeout> | undefined;
  let openFailures = 0;
  let lastChange: string | null = null;

  const happen = (event: LiveEvent) => {
    const next = reduceLive(state, event);
    if (next === state) return;
    state = next;
    for (const listener of listeners) listener();
  };

  const readLater = (ms: number) => {
    gathering ??= setTimeout(() => {
      gathering = undefined;
      void read();
    }, ms);
  };

  const read = async () => {
    if (reading) return;
    reading = true;
    const keys = [...touched];
    const all = everything || keys.length > readSinglyAtMost;
    const alertsToo = everything || alerts;
    const recoveryToo = everything || recovery;
    touched = new Set();
    everything = false;
    alerts = false;
    recovery = false;
    try {
      if (alertsToo) happen({ kind: "alerts", alerts: await readOpenAlerts(never) });
      if (recoveryToo) happen({ kind: "recovery", recovery: await readRecovery(never) });
      if (all) happen({ kind: "nodes", nodes: await readNodes(never), at: collectorNow() });
      else
        for (const node of await Promise.all(keys.map((key) => readNode(key, never))))
          happen({ kind: "node", node, at: collectorNow() });
      readFailures = 0;
    } catch (error) {
      if (!(error instanceof ExplainedError)) throw error;
      happen({ kind: "failed", failure: failureOf(error) });
      everything = true;
      readFailures += 1;
    } finally {
      reading = false;
    }
    if (everything || alerts || recovery || touched.size > 0)
      readLater(readFailures === 0 ? gatherMs : backoff(readFailures, Math.random()));
  };

  const readEverything = (ms: number) => {
    everything = true;
    readLater(ms);
  };

  const open = () => {
    clearTimeout(reopening);
    reopening = undefined;
    source?.close();
    const opened = new EventSource(streamUrl(lastChange));
    source = opened;
    opened.addEventListener("open", () => {
      openFailures = 0;
      happen({ kind: "opened", at: collectorNow() });
      readEverything(0);
    });
    opened.addEventListener("change", (message) => {
      lastChange = message.lastEventId || lastChange;
      const change = JSON.parse(message.data) as ChangeItem;
      if (change.topic === "node") touched.add(change.subject);
      else if (change.topic === "alert") alerts = true;
      else if (change.topic === "recovery") recovery = true;
      else everything = true;
      readLater(gatherMs);
    });
    opened.addEventListener("reset", (message) => {
      lastChange = message.lastEventId || null;
      readEverything(gatherMs);
    });
    opened.addEventListener("error", () => {
      // The browser's own retry knows no growing pause, and gives up for good on an answer that is not 200.
      opened.close();
      openFailures += 1;
      happen({ kind: "lost", at: collectorNow() });
      reopening = setTimeout(open, backoff(openFailures, Math.random()));
      // A collector that went away is found out at once, not at the next reading.
      readEverything(gatherMs);
    });
  };

  const retry = () => {
    clearTimeout(gathering);
    gathering = undefined;
    readEverything(0);
    if (state.connection.kind !== "live") open();
  };

  readEverything(0);
  open();
  setInterval(() => readEverything(0), readAllEveryMs);
  addEventListener("online", retry);
  return {
    state: () => state,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    retry,
  };
}

function failureOf({ code, message, fix }: ExplainedError): Failure {
  return { code, message, fix };
}
