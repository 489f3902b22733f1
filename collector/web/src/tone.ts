import type { LayerName, NodeItem, VerdictClass } from "../../api/types.ts";

/** The five layers in the order in which life passes through them. */
export const layerNames = ["machine", "runtime", "app", "verdict", "reward"] as const satisfies readonly LayerName[];

/**
 * What a value means to the reader, each with its own colour and its own shape. `noted` is a measured outcome that is
 * nobody's fault (an unsupported address); `off` is a stop that was planned; `none` means that there is nothing to read.
 */
export type Tone = "good" | "warn" | "bad" | "noted" | "unknown" | "off" | "none";

/** How a tone is said, for readers who see neither the colour nor the shape. */
export const toneWords: Readonly<Record<Tone, string>> = {
  good: "good",
  warn: "needs a look",
  bad: "in trouble",
  noted: "noted",
  unknown: "not known",
  off: "planned off",
  none: "nothing to read",
};

/** Returns the tone of a layer's value on its own: what history shows, where a node's other layers are not at hand. */
export function valueTone(layer: LayerName, value: string, verdictClass?: VerdictClass): Tone {
  if (layer === "verdict") {
    if (verdictClass === "good") return "good";
    if (verdictClass === "bad") return "bad";
    return verdictClass === "unsupported" ? "noted" : "unknown";
  }
  switch (value) {
    case "up":
    case "earning":
      return "good";
    case "degraded":
    case "zero":
    case "stalled":
      return "warn";
    case "down":
      return "bad";
    case "none":
      return "none";
    default:
      return "unknown";
  }
}

/** Returns the tone of a node's layer now, in the light of what else is known of the node. */
export function layerTone(layer: LayerName, node: Pick<NodeItem, "power" | "network" | "layers">): Tone {
  const state = node.layers[layer];
  const earns = layer === "verdict" || layer === "reward";
  if (earns && node.network === null) return "none";
  const tone = valueTone(layer, state.value, state.class);
  if (node.power === "off" && tone !== "good" && tone !== "noted") return "off";
  // Nothing earned where the network says that it pays nothing is what was to be expected.
  const unpaid = node.layers.verdict.class === "unsupported";
  return layer === "reward" && unpaid && tone === "warn" ? "noted" : tone;
}

/**
 * Returns the value of a node's layer as the page says it: the value itself, `not read yet` where nothing was ever known,
 * and `no network` for the two layers that only a network can fill.
 */
export function layerText(layer: LayerName, node: Pick<NodeItem, "network" | "layers">): string {
  const { value, since } = node.layers[layer];
  if ((layer === "verdict" || layer === "reward") && node.network === null) return "no network";
  return value === "unknown" && since === null ? "not read yet" : value;
}
