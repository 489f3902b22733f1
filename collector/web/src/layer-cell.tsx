import { useState } from "react";
import type { LayerName, NodeItem } from "../../api/types.ts";
import { Age } from "./age.tsx";
import { Mark } from "./mark.tsx";
import { layerText, layerTone, toneWords } from "./tone.ts";

/** One layer of a node: shape and value, how long it has been so, and why. Lights up for a moment when it changes. */
export function LayerState({ layer, node }: { readonly layer: LayerName; readonly node: NodeItem }) {
  const state = node.layers[layer];
  const tone = layerTone(layer, node);
  const text = layerText(layer, node);
  const signature = `${text} ${state.since}`;
  const [first] = useState(signature);
  return (
    // The key makes a new element of a new value, which starts the animation again.
    <div key={signature} className={`layer tone-${tone}${signature === first ? "" : " changed"}`}>
      <span className="layer-value">
        <Mark tone={tone} />
        <span className={tone === "unknown" || tone === "none" ? "missing" : undefined}>{text}</span>
        {tone !== "good" && tone !== "none" && <span className="unseen"> ({toneWords[tone]})</span>}
      </span>
      {state.since !== null && text !== "no network" && (
        <span className="line">
          <Age at={state.since} as="for" />
        </span>
      )}
      {state.reason !== "" && text !== "no network" && (
        <span className={tone === "warn" || tone === "bad" ? "reason reason-pressing" : "reason"} title={state.reason}>
          {state.reason}
        </span>
      )}
    </div>
  );
}
