import { Fragment } from "react";
import type { NodeItem } from "../../api/types.ts";
import { Counts } from "./counts.tsx";
import { type Group, goneNodes, groupNodes, type Order, orders, standingOf, type View } from "./fleet.ts";
import { NodeTable } from "./node-table.tsx";
import { NetworkName, PracticeNote } from "./values.tsx";

// Up to this many nodes there is room for large rows.
const roomyAtMost = 12;

const orderWords: Readonly<Record<Order, string>> = {
  key: "key",
  trouble: "trouble first",
  points: "most points first",
  change: "latest change first",
};

/** Every node of the fleet: the counts, what to show of it, the groups, and the nodes that are gone. */
export function FleetView({
  nodes,
  view,
  onView,
}: {
  readonly nodes: readonly NodeItem[] | null;
  readonly view: View;
  readonly onView: (view: View) => void;
}) {
  const groups = nodes === null ? [] : groupNodes(nodes, view);
  const gone = nodes === null ? [] : goneNodes(nodes, view);
  const live = (nodes ?? []).filter((node) => standingOf(node) !== "gone").length;
  return (
    <>
      <Counts nodes={nodes} standing={view.standing} onStanding={(standing) => onView({ ...view, standing })} />
      <search className="tools">
        <label>
          <span>Find</span>
          <input
            type="search"
            value={view.text}
            placeholder="key, label, region, reason"
            onChange={(event) => onView({ ...view, text: event.target.value })}
          />
        </label>
        <label>
          <span>Order</span>
          <select
            value={view.order}
            onChange={(event) =>
              onView({ ...view, order: orders.find((order) => order === event.target.value) ?? "key" })
            }
          >
            {orders.map((order) => (
              <option key={order} value={order}>
                {orderWords[order]}
              </option>
            ))}
          </select>
        </label>
      </search>
      <div className="groups" data-density={live <= roomyAtMost ? "roomy" : "dense"}>
        {nodes?.some((node) => node.practice) && <PracticeNote />}
        {nodes === null && <p className="waiting">Reading the nodes…</p>}
        {groups.map((group) => (
          <GroupSection key={group.name} group={group} />
        ))}
        {nodes !== null && live === 0 && <NoNodes />}
        {live > 0 && groups.length === 0 && (
          <div className="empty">
            <p>None of the {live} nodes is what you asked for.</p>
            <button type="button" className="plain" onClick={() => onView({ ...view, standing: "all", text: "" })}>
              Show all nodes
            </button>
          </div>
        )}
        {gone.length > 0 && (
          <details className="gone">
            <summary>
              Gone <span className="heading-note">{counted(gone.length)}, history kept</span>
            </summary>
            <NodeTable nodes={gone} label="Nodes that left the inventory" />
          </details>
        )}
      </div>
    </>
  );
}

function GroupSection({ group }: { readonly group: Group }) {
  const { nodes } = group;
  const sites = distinct(nodes.map((node) => `${node.provider} · ${node.region}`));
  const workloads = distinct(nodes.map((node) => node.workload));
  const networks = distinct(nodes.map((node) => node.network));
  const id = `group-${group.name}`;
  return (
    <section className="group" aria-labelledby={id}>
      <h2 id={id}>
        {group.name}{" "}
        <span className="heading-note">
          {counted(nodes.length)} · {sites.join(", ")} · {workloads.join(", ")} ·{" "}
          {networks.map((name, index) => (
            <Fragment key={name}>
              {index > 0 && ", "}
              {name === null ? (
                "no network"
              ) : (
                <NetworkName name={name} practice={nodes.some((node) => node.network === name && node.practice)} />
              )}
            </Fragment>
          ))}
        </span>
      </h2>
      <NodeTable nodes={group.nodes} label={`Nodes of group ${group.name}`} />
    </section>
  );
}

function NoNodes() {
  return (
    <div className="empty">
      <h2>No nodes yet</h2>
      <p>The fleet's inventory names no node. This command makes the nodes that the stack's config asks for:</p>
      <pre>
        <code>npm run up</code>
      </pre>
      <p>They appear here by themselves.</p>
    </div>
  );
}

function distinct<Value>(values: readonly Value[]): readonly Value[] {
  return [...new Set(values)];
}

function counted(count: number): string {
  return `${count} ${count === 1 ? "node" : "nodes"}`;
}
