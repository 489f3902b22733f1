import type { AlertItem, NodeItem } from "../../api/types.ts";
import { mergeNodes, withNode } from "./fleet.ts";
import type { Recovery } from "./recovery.ts";

/** A failure as the page shows it: what happened, what to do, and a stable code. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly fix: string;
}

/** How the page is told of changes. Instants are epoch milliseconds. */
export type Connection =
  | { readonly kind: "connecting" }
  | { readonly kind: "live"; readonly since: number }
  | { readonly kind: "reconnecting"; readonly since: number };

/** All the page knows of the fleet. `nodes` is null until the first answer; `updatedAt` is when the last one came. */
export interface LiveState {
  readonly nodes: readonly NodeItem[] | null;
  /** The alerts that are open. */
  readonly alerts: readonly AlertItem[];
  /** How the repair of nodes stands; null until the first answer. */
  readonly recovery: Recovery | null;
  readonly updatedAt: number | null;
  readonly connection: Connection;
  /** Why the last request failed; null when it did not. Nodes read before stay. */
  readonly failure: Failure | null;
}

/** What can happen to it. */
export type LiveEvent =
  | { readonly kind: "nodes"; readonly nodes: readonly NodeItem[]; readonly at: number }
  | { readonly kind: "node"; readonly node: NodeItem; readonly at: number }
  | { readonly kind: "alerts"; readonly alerts: readonly AlertItem[] }
  | { readonly kind: "recovery"; readonly recovery: Recovery }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "opened"; readonly at: number }
  | { readonly kind: "lost"; readonly at: number };

/** What is known before anything was read. */
export const nothingYet: LiveState = {
  nodes: null,
  alerts: [],
  recovery: null,
  updatedAt: null,
  connection: { kind: "connecting" },
  failure: null,
};

/** Returns the state after `event`. A failure never takes away what was read before; only an answer replaces it. */
export function reduceLive(state: LiveState, event: LiveEvent): LiveState {
  switch (event.kind) {
    case "nodes":
      return { ...state, nodes: mergeNodes(state.nodes ?? [], event.nodes), updatedAt: event.at, failure: null };
    case "node":
      return { ...state, nodes: withNode(state.nodes ?? [], event.node), updatedAt: event.at, failure: null };
    case "alerts":
      return { ...state, alerts: event.alerts };
    case "recovery":
      return { ...state, recovery: event.recovery };
    case "failed":
      return { ...state, failure: event.failure };
    case "opened":
      return { ...state, connection: { kind: "live", since: event.at } };
    case "lost":
      // The first loss counts: tries that fail after it do not make the outage younger.
      return state.connection.kind === "reconnecting"
        ? state
        : { ...state, connection: { kind: "reconnecting", since: event.at } };
  }
}
