import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { NodeItem } from "../../../collector/api/types.ts";
import { describeChanges, summary } from "../../../collector/web/src/announce.ts";
import {
  countStandings,
  goneNodes,
  groupNodes,
  mergeNodes,
  type Standing,
  standingOf,
  type View,
  withNode,
} from "../../../collector/web/src/fleet.ts";
import { layerText, layerTone, valueTone } from "../../../collector/web/src/tone.ts";
import { ago, brokenNode, freshNode, healthyNode, largeFleet, layer, offNode, unsupportedNode } from "./fleet-of.ts";

const all: View = { standing: "all", text: "", order: "key" };
const keys = (nodes: readonly NodeItem[]) => nodes.map((node) => node.key);

describe("where a node stands", () => {
  test.each<[string, NodeItem, Standing]>([
    ["a healthy node is up", healthyNode("a", 0), "up"],
    ["a node with its browser down has trouble", brokenNode("a", 0), "trouble"],
    ["a node nothing is known of is not known", freshNode("a", 0), "unknown"],
    ["a node whose address is not supported is up: a measured outcome", unsupportedNode("a", 0), "up"],
    ["a node switched off on purpose is off, not in trouble", offNode("a", 0), "off"],
    ["a node that left the inventory is gone, whatever its layers say", { ...brokenNode("a", 0), gone: true }, "gone"],
  ])("%s", (_, node, standing) => {
    expect(standingOf(node)).toBe(standing);
  });

  test("a node that is alive and earns nothing has trouble, because alive is not earning", () => {
    const node = healthyNode("a", 0);
    const zero = { ...node, layers: { ...node.layers, reward: layer("reward", "zero", 600) } };
    expect(layerTone("reward", zero)).toBe("warn");
    expect(standingOf(zero)).toBe("trouble");
  });

  test("a node that the network has not judged yet is up", () => {
    const node = healthyNode("a", 0);
    const { verdict, reward } = freshNode("a", 0).layers;
    expect(standingOf({ ...node, layers: { ...node.layers, verdict, reward } })).toBe("up");
  });

  test("every node stands in exactly one place", () => {
    const counts = countStandings(largeFleet());
    expect(counts).toEqual({ up: 175, trouble: 15, unknown: 5, off: 5, gone: 0 });
  });
});

describe("what a layer says", () => {
  test("a verdict never seen before is kept word for word and is not known", () => {
    const node = healthyNode("a", 0);
    const novel = {
      ...node,
      layers: { ...node.layers, verdict: layer("verdict", "Hibernating", 5, { class: "unknown" }) },
    };
    expect(layerText("verdict", novel)).toBe("Hibernating");
    expect(layerTone("verdict", novel)).toBe("unknown");
    expect(valueTone("runtime", "sideways")).toBe("unknown");
  });

  test("what was never known is not read yet, and what is no longer known is unknown", () => {
    expect(layerText("runtime", freshNode("a", 0))).toBe("not read yet");
    const node = healthyNode("a", 0);
    const lost = { ...node, layers: { ...node.layers, runtime: layer("runtime", "unknown", 40) } };
    expect(layerText("runtime", lost)).toBe("unknown");
  });

  test("a workload without a network has no verdict and no reward to read", () => {
    const node = { ...freshNode("a", 0), network: null };
    expect(layerText("verdict", node)).toBe("no network");
    expect(layerTone("reward", node)).toBe("none");
  });
});

describe("choosing what to see", () => {
  const rich = healthyNode("a", 2, {
    points: { units: "300", scale: 1, unit: "point", asOf: ago(1), reading: "1" },
  });
  const poor = healthyNode("a", 1, {
    points: { units: "299999", scale: 4, unit: "point", asOf: ago(1), reading: "2" },
  });
  const unread = { ...brokenNode("a", 0), points: null };
  const elsewhere = healthyNode("b", 0, { label: "Rack Two" });
  const gone = healthyNode("a", 9, { gone: true, goneAt: ago(60) });
  const nodes = [elsewhere, gone, rich, unread, poor];

  test("groups come by name, their nodes by slot, gone ones apart", () => {
    expect(groupNodes(nodes, all).map((group) => [group.name, keys(group.nodes)])).toEqual([
      ["a", ["a/0", "a/1", "a/2"]],
      ["b", ["b/0"]],
    ]);
    expect(keys(goneNodes(nodes, all))).toEqual(["a/9"]);
  });

  test("slots are ordered as numbers", () => {
    const many = [10, 9, 100, 2].map((slot) => healthyNode("a", slot));
    expect(keys(groupNodes(many, all)[0]?.nodes ?? [])).toEqual(["a/2", "a/9", "a/10", "a/100"]);
  });

  test("the most points come first, exactly compared, and unread points last, not as nothing", () => {
    const [group] = groupNodes(nodes, { ...all, order: "points" });
    expect(keys(group?.nodes ?? [])).toEqual(["a/2", "a/1", "a/0"]);
  });

  test("trouble comes first when asked for", () => {
    const [group] = groupNodes([healthyNode("a", 0), brokenNode("a", 1), offNode("a", 2), freshNode("a", 3)], {
      ...all,
      order: "trouble",
    });
    expect(keys(group?.nodes ?? [])).toEqual(["a/1", "a/3", "a/0", "a/2"]);
  });

  test("only the nodes of one standing are shown when asked for", () => {
    expect(groupNodes(nodes, { ...all, standing: "trouble" }).map((group) => keys(group.nodes))).toEqual([["a/0"]]);
  });

  test("every word must be found, in any case, in any field", () => {
    expect(groupNodes(nodes, { ...all, text: "rack b/0" }).map((group) => keys(group.nodes))).toEqual([["b/0"]]);
    expect(groupNodes(nodes, { ...all, text: "sigkill" }).map((group) => keys(group.nodes))).toEqual([["a/0"]]);
    expect(groupNodes(nodes, { ...all, text: "rack a/0" })).toEqual([]);
  });

  test("no order and no filter ever loses or doubles a node", () => {
    const fleet = largeFleet();
    const order = fc.constantFrom(...(["key", "trouble", "points", "change"] as const));
    fc.assert(
      fc.property(order, fc.shuffledSubarray(fleet), (by, some) => {
        const shown = groupNodes(some, { ...all, order: by }).flatMap((group) => keys(group.nodes));
        expect(shown.toSorted()).toEqual(keys(some).toSorted());
      }),
      { numRuns: 30 },
    );
  });
});

describe("taking in an answer", () => {
  test("keeps the very nodes that did not change, and the list itself when none did", () => {
    const before = [healthyNode("a", 0), healthyNode("a", 1)];
    const copy = structuredClone(before);
    expect(mergeNodes(before, copy)).toBe(before);
    const after = mergeNodes(before, [copy[0] as NodeItem, brokenNode("a", 1)]);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
  });

  test("puts one node into its place or at the end", () => {
    const before = [healthyNode("a", 0), healthyNode("a", 1)];
    expect(keys(withNode(before, brokenNode("a", 0)))).toEqual(["a/0", "a/1"]);
    expect(keys(withNode(before, healthyNode("a", 2)))).toEqual(["a/0", "a/1", "a/2"]);
  });
});

describe("what is said aloud", () => {
  const before = [healthyNode("a", 0), healthyNode("a", 1)];

  test("names the node and its layers that changed for better or worse", () => {
    expect(describeChanges(before, [before[0] as NodeItem, brokenNode("a", 1)])).toBe(
      "a/1: browser down, extension down, verdict Disconnected, reward stalled.",
    );
  });

  test("is nothing when only numbers moved", () => {
    expect(
      describeChanges(before, [healthyNode("a", 0, { pssBytes: 5, lastSampleAt: ago(0) }), before[1] as NodeItem]),
    ).toBe(null);
  });

  test("tells of nodes that come and go", () => {
    const after = [healthyNode("a", 0, { gone: true }), before[1] as NodeItem, freshNode("a", 2)];
    expect(describeChanges(before, after)).toBe("a/0 left the inventory. a/2 appeared.");
  });

  test("counts instead of naming when much happens at once", () => {
    const fleet = Array.from({ length: 6 }, (_, slot) => healthyNode("a", slot));
    const after = fleet.map((node) => brokenNode("a", node.slot));
    expect(describeChanges(fleet, after)).toBe("6 nodes changed. 6 nodes: 0 up, 6 with trouble, 0 planned off.");
  });

  test("sums the fleet up in one sentence", () => {
    expect(summary([healthyNode("a", 0)])).toBe("1 node: 1 up, 0 with trouble, 0 planned off.");
    expect(summary([freshNode("a", 0), offNode("a", 1)])).toBe(
      "2 nodes: 0 up, 0 with trouble, 1 not known yet, 1 planned off.",
    );
  });
});
