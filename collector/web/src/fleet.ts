import type { NodeItem } from "../../api/types.ts";
import { compareAmounts } from "./amount.ts";
import { instantOf } from "./time.ts";
import { layerNames, layerTone } from "./tone.ts";

/** Where a node stands as a whole. Every node is exactly one of these. */
export type Standing = "up" | "trouble" | "unknown" | "off" | "gone";

/** The orders that a reader can choose from. */
export const orders = ["key", "trouble", "points", "change"] as const;
export type Order = (typeof orders)[number];

/** What a reader asked to see. An empty `text` matches every node. */
export interface View {
  readonly standing: Standing | "all";
  readonly text: string;
  readonly order: Order;
}

/** A group's nodes, in the order asked for. */
export interface Group {
  readonly name: string;
  readonly nodes: readonly NodeItem[];
}

/**
 * Returns where a node stands: `trouble` when any layer is bad or needs a look, `unknown` when one of machine, runtime
 * and app is not known, `up` when those three are up. A fresh node that the network has not judged yet is `up`.
 */
export function standingOf(node: NodeItem): Standing {
  if (node.gone) return "gone";
  if (node.power === "off") return "off";
  const tones = layerNames.map((layer) => layerTone(layer, node));
  if (tones.some((tone) => tone === "bad" || tone === "warn")) return "trouble";
  return tones.slice(0, 3).includes("unknown") ? "unknown" : "up";
}

/** Returns how many nodes stand where. */
export function countStandings(nodes: readonly NodeItem[]): Readonly<Record<Standing, number>> {
  const counts = { up: 0, trouble: 0, unknown: 0, off: 0, gone: 0 };
  for (const node of nodes) counts[standingOf(node)] += 1;
  return counts;
}

/**
 * Returns `next` with every node that did not change taken from `before`, so that a node's identity tells whether it
 * changed, and `before` itself where nothing changed at all. Nodes are compared by their JSON.
 */
export function mergeNodes(before: readonly NodeItem[], next: readonly NodeItem[]): readonly NodeItem[] {
  const known = new Map(before.map((node) => [node.key, node]));
  const merged = next.map((node) => {
    const old = known.get(node.key);
    return old !== undefined && JSON.stringify(old) === JSON.stringify(node) ? old : node;
  });
  const same = merged.length === before.length && merged.every((node, index) => node === before[index]);
  return same ? before : merged;
}

/** Returns `nodes` with `node` in the place of the one with its key, or at the end where it is new. */
export function withNode(nodes: readonly NodeItem[], node: NodeItem): readonly NodeItem[] {
  const known = nodes.some(({ key }) => key === node.key);
  return mergeNodes(nodes, known ? nodes.map((old) => (old.key === node.key ? node : old)) : [...nodes, node]);
}

/** Returns the nodes that the view asks for, gone ones left out, by group in the order of the groups' names. */
export function groupNodes(nodes: readonly NodeItem[], view: View): readonly Group[] {
  const shown = nodes.filter((node) => isShown(node, view) && standingOf(node) !== "gone");
  const names = [...new Set(shown.map((node) => node.group))].sort((a, b) => a.localeCompare(b, "en"));
  return names.map((name) => ({
    name,
    nodes: shown.filter((node) => node.group === name).sort(comparison(view.order)),
  }));
}

/** Returns the nodes that left the inventory, of those that the view's text matches, by key. */
export function goneNodes(nodes: readonly NodeItem[], view: View): readonly NodeItem[] {
  return nodes
    .filter((node) => standingOf(node) === "gone" && matches(node, view.text))
    .sort((a, b) => a.group.localeCompare(b.group, "en") || byKey(a, b));
}

function isShown(node: NodeItem, view: View): boolean {
  return (view.standing === "all" || standingOf(node) === view.standing) && matches(node, view.text);
}

function matches(node: NodeItem, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/);
  const parts = [
    node.key,
    node.label,
    node.provider,
    node.region,
    node.workload,
    node.network,
    node.practice ? "practice" : null,
  ];
  const layers = layerNames.flatMap((layer) => [node.layers[layer].value, node.layers[layer].reason]);
  const haystack = [...parts, node.networkNodeId, ...layers].join("\n").toLowerCase();
  return words.every((word) => haystack.includes(word));
}

function comparison(order: Order): (a: NodeItem, b: NodeItem) => number {
  switch (order) {
    case "key":
      return byKey;
    case "trouble":
      return (a, b) => troubleRank(a) - troubleRank(b) || byKey(a, b);
    case "points":
      return (a, b) => byPoints(a, b) || byKey(a, b);
    case "change":
      return (a, b) => lastChange(b) - lastChange(a) || byKey(a, b);
  }
}

function byKey(a: NodeItem, b: NodeItem): number {
  return a.slot - b.slot;
}

function troubleRank(node: NodeItem): number {
  return ["trouble", "unknown", "up", "off", "gone"].indexOf(standingOf(node));
}

/** Most points first; a node whose points were never read comes last, because it is not known to have none. */
function byPoints(a: NodeItem, b: NodeItem): number {
  if (a.points === null || b.points === null) return Number(a.points === null) - Number(b.points === null);
  if (a.points.unit !== b.points.unit) return a.points.unit.localeCompare(b.points.unit, "en");
  return compareAmounts(b.points.units, b.points.scale, a.points.units, a.points.scale);
}

function lastChange(node: NodeItem): number {
  return Math.max(...layerNames.map((layer) => instantOf(node.layers[layer].since) ?? Number.NEGATIVE_INFINITY));
}
