import type { NodeItem } from "../../api/types.ts";
import { countStandings, standingOf } from "./fleet.ts";
import { layerNames, layerText, layerTone } from "./tone.ts";

const atMost = 3;

/**
 * Returns what to say aloud of the change from `before` to `after`: nodes that came or went and layers whose tone
 * changed, in at most three sentences, or one that counts them; `null` where nothing changed that is worth a word.
 */
export function describeChanges(before: readonly NodeItem[], after: readonly NodeItem[]): string | null {
  const known = new Map(before.map((node) => [node.key, node]));
  const sentences = after.flatMap((node) => {
    const old = known.get(node.key);
    if (old === node) return [];
    if (old === undefined || (old.gone && !node.gone)) return node.gone ? [] : [`${node.key} appeared.`];
    if (node.gone) return old.gone ? [] : [`${node.key} left the inventory.`];
    const words = layerNames
      .filter((layer) => layerTone(layer, node) !== layerTone(layer, old))
      .map((layer) => `${node.layers[layer].name} ${layerText(layer, node)}`);
    return words.length === 0 ? [] : [`${node.key}: ${words.join(", ")}.`];
  });
  if (sentences.length === 0) return null;
  if (sentences.length <= atMost) return sentences.join(" ");
  return `${sentences.length} nodes changed. ${summary(after)}`;
}

/** Returns the fleet in one sentence: `5 nodes: 3 up, 1 with trouble, 1 planned off.` */
export function summary(nodes: readonly NodeItem[]): string {
  const counts = countStandings(nodes);
  const live = nodes.filter((node) => standingOf(node) !== "gone").length;
  const parts = [
    `${counts.up} up`,
    `${counts.trouble} with trouble`,
    ...(counts.unknown > 0 ? [`${counts.unknown} not known yet`] : []),
    `${counts.off} planned off`,
  ];
  return `${live} ${live === 1 ? "node" : "nodes"}: ${parts.join(", ")}.`;
}
