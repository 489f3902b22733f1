import { type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { AlertItem, NodeItem } from "../../api/types.ts";
import { AlertList } from "./alert-list.tsx";
import { Announcer } from "./announcer.tsx";
import { countStandings, type View } from "./fleet.ts";
import { FleetView } from "./fleet-view.tsx";
import { Header } from "./header.tsx";
import type { Live } from "./live.ts";
import { NodeView } from "./node-view.tsx";
import { FailureNotice } from "./notice.tsx";
import { recoveryOf } from "./recovery.ts";
import { RecoveryList } from "./recovery-list.tsx";
import { hashOf, routeOf } from "./route.ts";

const everything: View = { standing: "all", text: "", order: "key" };

/** The whole page: its head, and below it the fleet or the one node that the address names. */
export function Page({ live }: { readonly live: Live }) {
  const state = useSyncExternalStore(live.subscribe, live.state);
  const hash = useSyncExternalStore(onHash, () => location.hash);
  const [view, setView] = useState(everything);
  const route = routeOf(hash);
  const key = route.view === "node" ? route.key : null;
  const main = useRef<HTMLElement>(null);
  const nodes = state.nodes;
  const node = key === null ? undefined : nodes?.find((each) => each.key === key);

  useTitle(nodes, key);
  useViewFocus(key, main);
  useRowClick(main);

  return (
    <>
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        Skip to the nodes
      </button>
      <Header connection={state.connection} failing={state.failure !== null} updatedAt={state.updatedAt} />
      <main id="main" ref={main} tabIndex={-1}>
        {state.failure !== null && (
          <FailureNotice failure={state.failure} readAt={state.updatedAt} onRetry={live.retry} />
        )}
        <AlertList alerts={key === null ? state.alerts : state.alerts.filter((alert) => isOf(alert, key))} />
        {state.recovery !== null && (
          <RecoveryList
            recovery={key === null ? state.recovery : recoveryOf(state.recovery, key)}
            whole={key === null}
          />
        )}
        {key === null ? (
          (nodes !== null || state.failure === null) && <FleetView nodes={nodes} view={view} onView={setView} />
        ) : node !== undefined ? (
          <NodeView key={node.key} node={node} />
        ) : nodes !== null ? (
          <UnknownNode nodeKey={key} />
        ) : (
          state.failure === null && <p className="waiting">Reading the nodes…</p>
        )}
      </main>
      <Announcer nodes={nodes} connection={state.connection} />
    </>
  );
}

/** Whether an alert is about the node: its subject is the key, or begins with it. */
function isOf({ subject }: AlertItem, key: string): boolean {
  return subject === key || subject.startsWith(`${key} `);
}

function UnknownNode({ nodeKey }: { readonly nodeKey: string }) {
  return (
    <div className="empty">
      <h2>No node {nodeKey}</h2>
      <p>Neither the inventory nor the history knows a node of this key.</p>
      <p>
        <a href="#/">← All nodes</a>
      </p>
    </div>
  );
}

function onHash(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

/** Keeps the tab's title: how many nodes are in trouble or up, so that a background tab tells. */
function useTitle(nodes: readonly NodeItem[] | null, key: string | null): void {
  useEffect(() => {
    const counts = nodes === null ? null : countStandings(nodes);
    const state = counts === null ? [] : [counts.trouble > 0 ? `${counts.trouble} with trouble` : `${counts.up} up`];
    document.title = [...(key === null ? [] : [key]), ...state, "GradientLab"].join(" · ");
  }, [nodes, key]);
}

/** Moves the focus with the view: to a node's heading when it opens, back to the node's link when it is left. */
function useViewFocus(key: string | null, main: RefObject<HTMLElement | null>): void {
  const last = useRef(key);
  useEffect(() => {
    const left = last.current;
    last.current = key;
    if (key === left) return;
    const target = key === null ? `a[href="${hashOf({ view: "node", key: left ?? "" })}"]` : "h2";
    main.current?.querySelector<HTMLElement>(target)?.focus();
    if (key !== null) scrollTo(0, 0);
  }, [key, main]);
}

/** Lets a click anywhere on a node's row do what its link does: a larger target for the mouse, nothing else. */
function useRowClick(main: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const element = main.current;
    const open = (event: MouseEvent) => {
      if (event.defaultPrevented || event.button !== 0 || !(event.target instanceof Element)) return;
      if (event.target.closest("a, button, input, select, summary, code") !== null) return;
      const key = event.target.closest("tr[data-node]")?.getAttribute("data-node");
      // Whoever selects text to copy it does not want to leave.
      if (!key || getSelection()?.isCollapsed === false) return;
      location.hash = hashOf({ view: "node", key });
    };
    element?.addEventListener("click", open);
    return () => element?.removeEventListener("click", open);
  }, [main]);
}
