import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { declaredResources, resourceTable } from "../../../infra/providers/resource-table.ts";
import { declaredFleet, groupOn, providers } from "./fleet-on.ts";

const load = createRequire(import.meta.url);
const page = join(import.meta.dirname, "..", "..", "..", "docs", "clouds", "resources.md");
const budget = { phase: "pilot", phases: { pilot: { budgetUsdPerMonth: 500 } } };

it("the published table is the one that the code makes", () => {
  expect(readFileSync(page, "utf8")).toBe(resourceTable());
});

describe.each([...declaredResources()])("the table of %s", (name, rows) => {
  const facts = providers.facts.get(name);
  if (facts === undefined) throw new Error(`${name} has no facts`);

  it("has a row for every resource that is declared, and no other", async () => {
    const sizes = Object.keys(facts.ledger.sizes);
    const groups = Object.fromEntries(sizes.map((size, index) => [`g${index}`, groupOn(facts, { size, count: 1 })]));
    const all = await declaredFleet(groups, budget);
    const types = new Set(all.filter(({ type }) => !type.startsWith("gradientlab:")).map(({ type }) => type));
    expect(rows.map(({ type }) => type).toSorted()).toEqual([...types].toSorted());
  });

  it.each(rows)("names $type as the SDK does", ({ type }) => {
    const [pulumi, , sdk] = type.split(":");
    if (pulumi === "pulumi") return expect(() => load(`@pulumi/${sdk}/provider.js`)).not.toThrow();
    const [cloud, path = "", kind = ""] = type.split(":");
    const folder = path.includes("/") ? path : `${path}/${kind.charAt(0).toLowerCase()}${kind.slice(1)}`;
    const file = `@pulumi/${cloud}/${folder.charAt(0).toLowerCase()}${folder.slice(1)}.js`;
    const made = load(file) as Record<string, { readonly __pulumiType: string }>;
    expect(made[kind]?.__pulumiType).toBe(type);
  });

  it("prices what its rows use by the ledger, and every quantity that the ledger prices is used by some row", () => {
    const used = new Set(rows.flatMap(({ uses }) => uses));
    expect([...used].filter((quantity) => facts.ledger.quantities[quantity] === undefined)).toEqual([]);
    expect(facts.ledger.prices.map(({ quantity }) => quantity).filter((quantity) => !used.has(quantity))).toEqual([]);
  });
});
