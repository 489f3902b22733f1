import { memo } from "react";
import type { LayerName, NodeItem } from "../../api/types.ts";
import { Age } from "./age.tsx";
import { standingOf } from "./fleet.ts";
import { LayerState } from "./layer-cell.tsx";
import { NetworkId } from "./network-id.tsx";
import { hashOf } from "./route.ts";
import { layerNames } from "./tone.ts";
import { Memory, Points, Restarts } from "./values.tsx";

/**
 * Nodes as a table, one row each, its layer columns named as the nodes' workload names them. `label` is the table's name
 * for screen readers.
 */
export function NodeTable({ nodes, label }: { readonly nodes: readonly NodeItem[]; readonly label: string }) {
  const first = nodes[0];
  if (first === undefined) return null;
  return (
    <div className="panel">
      <table className="nodes" aria-label={label}>
        <thead>
          <tr>
            <th scope="col" className="col-node">
              Node
            </th>
            {layerNames.map((layer) => (
              <th scope="col" key={layer} className={`col-layer col-${layer}`}>
                {columnName(layer, nodes)}
              </th>
            ))}
            <th scope="col" className="col-points">
              Points so far
            </th>
            <th scope="col" className="col-process">
              Memory
            </th>
            <th scope="col" className="col-sample">
              Last sample
            </th>
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <NodeRow key={node.key} node={node} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

// A group that moved from one workload to another may hold both for a while.
function columnName(layer: LayerName, nodes: readonly NodeItem[]): string {
  return [...new Set(nodes.map((node) => node.layers[layer].name))].join(" / ");
}

const NodeRow = memo(function NodeRow({ node }: { readonly node: NodeItem }) {
  const standing = standingOf(node);
  return (
    <tr data-node={node.key} className={`standing-${standing}`}>
      <th scope="row" className="node">
        <span className="node-name">
          <a href={hashOf({ view: "node", key: node.key })} className="node-key">
            {node.key}
          </a>
          {node.label !== null && node.label !== "" && <span className="node-label">{node.label}</span>}
          {standing === "off" && <span className="tag">planned off</span>}
          {standing === "gone" && <span className="tag">gone {node.goneAt !== null && <Age at={node.goneAt} />}</span>}
        </span>
        <span className="line node-site">
          {node.provider} · {node.region}
        </span>
        {node.network !== null && (
          <span className="line">
            <NetworkId id={node.networkNodeId} />
          </span>
        )}
      </th>
      {layerNames.map((layer) => (
        <td key={layer} className="cell-layer">
          <span className="cell-name" aria-hidden="true">
            {node.layers[layer].name}
          </span>
          <LayerState layer={layer} node={node} />
        </td>
      ))}
      <td className="cell-points">
        <span className="cell-name" aria-hidden="true">
          Points so far
        </span>
        <Points node={node} />
      </td>
      <td className="cell-process">
        <span className="cell-name" aria-hidden="true">
          Memory
        </span>
        <Memory node={node} />
        <span className="line">
          <Restarts node={node} />
        </span>
      </td>
      <td className="cell-sample">
        <span className="cell-name" aria-hidden="true">
          Last sample
        </span>
        <Age at={node.lastSampleAt} missing="none yet" />
      </td>
    </tr>
  );
});
