import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { withPlacements } from "../../../infra/engine/stack-file.ts";

const file = `# what the operator wrote above
encryptionsalt: v1:abc
config:
  gradientlab:fleet:
    schema: 1
    groups:
      far: # the cheap ones
        provider: anywhere
        count: 3 # until May
    placements:
      far/0: {domain: AD-1, shape: small} # found by hand
`;
const merged = (value: { config: Record<string, { placements: object }> }) => {
  const { placements, ...fleet } = value.config["gradientlab:fleet"] ?? { placements: {} };
  const all = { ...placements, ...Object.fromEntries(placed) };
  return { ...value, config: { "gradientlab:fleet": { ...fleet, placements: all } } };
};
const placed = new Map([["far/1", { domain: "AD-3", shape: "small" }]]);

describe("a placement in a stack's file", () => {
  it("is added beside those that are there, and every comment stays", () => {
    const after = withPlacements(file, placed);
    expect(after.match(/#.*/g)).toEqual(file.match(/#.*/g));
    expect(parse(after)).toEqual(merged(parse(file)));
    expect(withPlacements(after, placed)).toBe(after);
  });

  it("takes the place of the one that the node had", () => {
    const moved = withPlacements(file, new Map([["far/0", { domain: "AD-2", shape: "small" }]]));
    expect(moved).toContain("far/0: { domain: AD-2, shape: small }");
    expect(moved).not.toContain("AD-1");
  });

  it("makes the field where there is none, also in a fleet that is written as JSON", () => {
    const json = `config: ${JSON.stringify({ "gradientlab:fleet": { schema: 1, groups: {} } })}\n`;
    expect(withPlacements(json, placed)).toContain(`far/1`);
  });

  it("is refused for a file without a fleet", () => {
    expect(() => withPlacements("config:\n  gradientlab:count: 3\n", placed)).toThrow("holds no fleet");
    expect(() => withPlacements("config: {", placed)).toThrow("holds no fleet");
  });
});
