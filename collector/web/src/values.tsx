import type { NodeItem } from "../../api/types.ts";
import { Age } from "./age.tsx";
import { amountText, unitText } from "./amount.ts";
import { formatBytes } from "./bytes.ts";

/** The label that stands wherever something comes from a practice network. */
function PracticeLabel() {
  return <span className="practice">practice</span>;
}

/** The one sentence that says what a practice network is; it stands on every view that shows one. */
export function PracticeNote() {
  return (
    <p className="practice-note">
      <PracticeLabel /> A practice network imitates a real one on the operator's own machine: its points are worth
      nothing, and no real network is contacted.
    </p>
  );
}

/** A network's name, with the practice label where it is one; a network that is just named `practice` is the label. */
export function NetworkName({ name, practice }: { readonly name: string; readonly practice: boolean }) {
  if (!practice) return name;
  return name === "practice" ? (
    <PracticeLabel />
  ) : (
    <>
      {name} <PracticeLabel />
    </>
  );
}

/** A node's points, every digit shown, and when they were read; a node without a network has none to read. */
export function Points({ node }: { readonly node: NodeItem }) {
  if (node.network === null) return <span className="missing">no network</span>;
  const { points } = node;
  const text = points === null ? null : amountText(points.units, points.scale);
  return (
    <>
      <span className="points">
        {points === null ? (
          <span className="missing">not read yet</span>
        ) : text === null ? (
          <span className="missing">not readable: {points.units}</span>
        ) : (
          <data value={points.units} title={`${points.units} / 10^${points.scale}, reading ${points.reading}`}>
            <span className="points-whole">
              {text.sign}
              {text.whole}
            </span>
            {text.fraction !== "" && <span className="points-fraction">.{text.fraction}</span>}{" "}
            <span className="points-unit">{unitText(points.unit, points.units, points.scale)}</span>
          </data>
        )}
      </span>
      <span className="line">
        {node.practice && <PracticeLabel />}
        {points !== null && (
          <span>
            read <Age at={points.asOf} />
          </span>
        )}
      </span>
    </>
  );
}

/** The memory of a node's runtime as its proportional set size, as of its last sample. */
export function Memory({ node }: { readonly node: Pick<NodeItem, "pssBytes" | "lastSampleAt"> }) {
  if (node.pssBytes !== null)
    return <span title={`${node.pssBytes} bytes, proportional set size`}>{formatBytes(node.pssBytes)}</span>;
  return <span className="missing">{node.lastSampleAt === null ? "not read yet" : "not measured"}</span>;
}

/** How often the runtime restarted since the node's journal began, as of its last sample. */
export function Restarts({ node }: { readonly node: Pick<NodeItem, "restarts" | "lastSampleAt"> }) {
  if (node.restarts !== null) return `${node.restarts} ${node.restarts === 1 ? "restart" : "restarts"}`;
  return <span className="missing">{node.lastSampleAt === null ? "" : "restarts not measured"}</span>;
}
