import { describe, expect, it } from "vitest";
import { parseInventoryFile } from "../../../collector/inventory/file.ts";
import { inventoryFile, nodeRecord } from "../inventory.ts";

const good = inventoryFile([nodeRecord("home/0", "m", "/n")], new Date(Date.UTC(2026, 0, 1)));

describe("the inventory file", () => {
  it("is taken as it was written", () => {
    expect(parseInventoryFile(JSON.stringify(good), "f").inventory.nodes[0]?.key).toBe("home/0");
  });

  it("may hold fields that this release does not know, as part of its sum", () => {
    const later = { ...good.inventory, novelty: 1 };
    const text = JSON.stringify({ ...good, inventory: later });
    expect(() => parseInventoryFile(text, "f")).toThrow(/sha256/);
  });

  it.each([
    ["half a file", JSON.stringify(good).slice(0, -9), /not JSON/],
    ["another schema", JSON.stringify({ ...good, schema: 2 }), /schema/],
    [
      "another schema of the inventory",
      JSON.stringify({ ...good, inventory: { ...good.inventory, schema: 2 } }),
      /schema/,
    ],
    ["a changed node", JSON.stringify(good).replace("home/0", "home/1"), /sha256/],
    ["a list", "[]", /refused/],
  ])("is refused with a sentence when it is %s", (_what, text, sentence) => {
    expect(() => parseInventoryFile(text, "inventory.json")).toThrow(sentence);
    expect(() => parseInventoryFile(text, "inventory.json")).toThrow(/inventory\.json/);
  });
});
