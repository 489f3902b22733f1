import { describe, expect, it } from "vitest";
import { type Declared, idOf } from "./declared.ts";
import { declaredFleet as declared, groupOn, providers } from "./fleet-on.ts";

/** One suite for every provider that is found, that of the tests included: what holds of all of them. */

/** The inventory differs whenever anything does. A quota is what the account's nodes add up to. */
const summing = ["gradientlab:index:Budget", "gradientlab:index:InventoryFile", "oci:Limits/quota:Quota"];

/** Returns what the second declares otherwise than the first, as names of resources. */
function changes(before: readonly Declared[], after: readonly Declared[]) {
  const texts = (all: readonly Declared[]): Map<string, string> =>
    new Map(all.filter(({ type }) => !summing.includes(type)).map((each) => [idOf(each), JSON.stringify(each)]));
  const [old, now] = [texts(before), texts(after)];
  return {
    added: [...now.keys()].filter((id) => !old.has(id)),
    removed: [...old.keys()].filter((id) => !now.has(id)),
    changed: [...now.keys()].filter((id) => old.has(id) && old.get(id) !== now.get(id)),
  };
}

describe.each([...providers.facts.values()].map((facts) => [facts.name, facts] as const))("on %s", (name, facts) => {
  it("a changed count adds or takes exactly as many nodes, with all that is theirs, and touches nothing else", async () => {
    const few = await declared({ home: groupOn(facts, { count: 2 }) });
    const many = await declared({ home: groupOn(facts, { count: 5 }) });
    const { added, removed, changed } = changes(few, many);
    expect(removed).toEqual([]);
    expect(changed).toEqual([]);
    expect(added.filter((id) => id.startsWith("gradientlab:fleet:Node "))).toHaveLength(3);
    expect(new Set(added.map((id) => id.split(" ")[1]))).toEqual(new Set(["home/2", "home/3", "home/4"]));
    expect(changes(many, few)).toEqual({ added: [], removed: added, changed: [] });
  });

  it("one group never alters what another declares, and their order in the file alters nothing", async () => {
    const home = groupOn(facts);
    const attic = groupOn(facts, { count: 1 });
    const before = await declared({ home, attic });
    const other = await declared({ attic: { ...attic, count: 4, retired: [0] }, home });
    const { added, removed, changed } = changes(before, other);
    expect([...added, ...removed, ...changed].every((id) => id.includes(" attic/"))).toBe(true);
    expect(changes(before, await declared({ attic, home }))).toEqual({ added: [], removed: [], changed: [] });
    const alone = await declared({ home });
    expect(changes(alone, before).changed).toEqual([]);
  });

  it("a retired slot goes and the next takes its place", async () => {
    const before = await declared({ home: groupOn(facts) });
    const after = await declared({ home: groupOn(facts, { retired: [1] }) });
    const { added, removed, changed } = changes(before, after);
    expect(changed).toEqual([]);
    expect(new Set(added.map((id) => id.split(" ")[1]))).toEqual(new Set(["home/3"]));
    expect(new Set(removed.map((id) => id.split(" ")[1]))).toEqual(new Set(["home/1"]));
  });

  if (facts.traits.power)
    it("a stopped slot changes one field of one resource", async () => {
      const before = await declared({ home: groupOn(facts) });
      const after = await declared({ home: groupOn(facts, { stopped: [1] }) });
      const { added, removed, changed } = changes(before, after);
      expect([...added, ...removed]).toEqual([]);
      expect(changed).toHaveLength(1);
      expect(changed[0]).toMatch(/ home\/1$/);
      const of = (all: readonly Declared[]): Declared | undefined => all.find((each) => idOf(each) === changed[0]);
      expect(of(after)?.options).toEqual(of(before)?.options);
      expect(fieldsThatDiffer(of(before)?.inputs, of(after)?.inputs)).toHaveLength(1);
    });

  it("a raised machine revision renews the machine of each node, the old one first, and leaves all else alone", async () => {
    const before = await declared({ home: groupOn(facts), attic: groupOn(facts) });
    const after = await declared({
      home: groupOn(facts, { revision: { machine: 2, software: 1 } }),
      attic: groupOn(facts),
    });
    const { added, removed, changed } = changes(before, after);
    expect([...added, ...removed]).toEqual([]);
    expect(changed.map((id) => id.split(" ")[1])).toEqual(["home/0", "home/1", "home/2"]);
    if (facts.traits.boot.includes("process")) return;
    for (const each of after.filter((resource) => changed.includes(idOf(resource))))
      expect(each.options).toMatchObject({ replacementTrigger: 2, deleteBeforeReplace: true });
  });

  it("destroying always works: nothing is protected", async () => {
    const all = await declared({ home: groupOn(facts) });
    expect(all.filter(({ options }) => options.protect)).toEqual([]);
  });

  if (!facts.traits.boot.includes("process"))
    it("the collector's own machine is made like a node's, every site opens SSH to it, and no node changes", async () => {
      const [first = "", second = first] = facts.regions;
      const home = groupOn(facts);
      const [host] = Object.keys(facts.ledger.sizes);
      const before = await declared({ home });
      const after = await declared({ home }, { collector: { host: { provider: name, region: second, size: host } } });
      const { added, removed, changed } = changes(before, after);
      expect(removed).toEqual([]);
      expect(changed).toEqual([]);
      const machine = before.find((each) => each.custom && each.name === "home/0" && each.options.replacementTrigger);
      expect(added).toContain(`${machine?.type} collector`);
      const admitted = after.filter((each) => /-collector$/.test(each.name));
      expect(admitted.map(({ name: rule }) => rule)).toEqual([
        `${name}-${first}-collector`,
        `${name}-${second}-collector`,
      ]);
      for (const { inputs } of admitted) expect(JSON.stringify(inputs)).toMatch(/"192\.0\.2\.[0-9]+\/32"/);
    });

  if (!facts.traits.boot.includes("process"))
    it("everything is made in the account and region of the config, through a provider of their own", async () => {
      const all = (await declared({ home: groupOn(facts) })).filter(({ type }) => !type.startsWith("gradientlab:"));
      const made = all.filter(({ custom, type }) => custom && !type.startsWith("pulumi:providers:"));
      const [region] = facts.regions;
      const perSite = made.filter(({ options }) => options.provider === `${name}-${region}`);
      expect(perSite.length).toBe(made.length);
    });
});

/** Returns the paths of the fields whose values differ. */
function fieldsThatDiffer(a: unknown, b: unknown, path = ""): string[] {
  if (JSON.stringify(a) === JSON.stringify(b)) return [];
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return [path];
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].flatMap((field) =>
    fieldsThatDiffer(left[field], right[field], `${path}.${field}`),
  );
}
