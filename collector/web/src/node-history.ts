import { useEffect, useState } from "react";
import { ExplainedError } from "../../../infra/problem.ts";
import type { GapItem, NodeItem, SampleItem, StateItem } from "../../api/types.ts";
import { readEvents, readGaps, readStates } from "./api.ts";
import { collectorNow } from "./clock.ts";
import type { Failure } from "./live-state.ts";
import { layerNames } from "./tone.ts";

/** What was read of a node's past, for the window `[from, to)` (epoch milliseconds). */
export interface NodeHistory {
  readonly key: string;
  readonly from: number;
  readonly to: number;
  readonly states: readonly StateItem[];
  readonly events: readonly SampleItem[];
  readonly gaps: readonly GapItem[];
}

const againEveryMs = 30_000;

/**
 * Returns the node's history of the last `windowMs` milliseconds, null until it was read, and why the last attempt
 * failed. It is read again when a layer of the node changes and every half minute.
 */
export function useNodeHistory(
  node: NodeItem,
  windowMs: number,
): { readonly history: NodeHistory | null; readonly failure: Failure | null } {
  const [history, setHistory] = useState<NodeHistory | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [round, setRound] = useState(0);
  const { key } = node;
  const mark = [...layerNames.map((layer) => node.layers[layer].since), node.restarts, node.gone].join(" ");

  useEffect(() => {
    const timer = setInterval(() => setRound((count) => count + 1), againEveryMs);
    return () => clearInterval(timer);
  }, []);

  useEffect(() => {
    const reason = `${mark} ${round}`;
    const aborter = new AbortController();
    const to = collectorNow();
    const from = to - windowMs;
    const since = new Date(from).toISOString();
    Promise.all([
      readStates(key, since, aborter.signal),
      readEvents(key, aborter.signal),
      readGaps(key, aborter.signal),
    ]).then(
      ([states, events, gaps]) => {
        if (aborter.signal.aborted) return;
        setHistory({ key, from, to, states, events, gaps });
        setFailure(null);
      },
      (error: unknown) => {
        if (aborter.signal.aborted) return;
        if (!(error instanceof ExplainedError)) throw error;
        setFailure({ code: error.code, message: error.message, fix: error.fix });
      },
    );
    return () => aborter.abort(reason);
  }, [key, windowMs, mark, round]);

  return { history: history?.key === key ? history : null, failure };
}
