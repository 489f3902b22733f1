import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkout } from "../../../infra/engine/environment.ts";
import { standInGuide } from "../../../infra/stand-in/guide.ts";
import { rulesFiles } from "../../../infra/stand-in/plugins.ts";
import { type Rule, type RulesFile, readRules } from "../../../infra/stand-in/rules.ts";

const clouds = rulesFiles().map((file): [string, RulesFile] => {
  const rules = readRules(file);
  return [rules.plugin, rules];
});
const packages = createRequire(join(checkout, "infra", "package.json"));

/** Names a rule in a failed expectation. */
const nameOf = (rule: Rule): string => JSON.stringify(rule).slice(0, 120);

describe.each(clouds)("the rules of the stand-in for %s", (_name, { rules, sources, package: sdk }) => {
  it("have a source each, or say that they are assumed, and never both", () => {
    const wrong = rules.filter((rule) => (rule.source === undefined) === (rule.assumed === undefined));
    expect(wrong.map(nameOf)).toEqual([]);
  });

  it("name sources that the head of the file describes, and leave none unused", () => {
    const used = new Set(rules.flatMap((rule) => (rule.source === undefined ? [] : [rule.source.in])));
    expect([...used].toSorted()).toEqual(Object.keys(sources).toSorted());
  });

  it("are assumed in one row of five at most", () => {
    const assumed = rules.filter((rule) => rule.assumed !== undefined);
    expect(assumed.length / rules.length).toBeLessThanOrEqual(0.2);
  });

  it("name errors and look-ups that the file has", () => {
    const errors = new Set(rules.flatMap((rule) => (rule.kind === "error" ? [rule.case] : [])));
    const tokens = new Set(rules.flatMap((rule) => (rule.kind === "invoke" ? [rule.token] : [])));
    const named = rules.flatMap((rule) => [
      ...("error" in rule && rule.error !== undefined ? [rule.error] : []),
      ...(rule.kind === "capacity" ? [rule.later] : []),
    ]);
    expect(named.filter((name) => !errors.has(name))).toEqual([]);
    const from = rules.flatMap((rule) => (rule.kind === "allows" && rule.from !== undefined ? [rule.from.invoke] : []));
    expect(from.filter((token) => !tokens.has(token))).toEqual([]);
  });

  it("are about types and properties that the SDK has", () => {
    const wrong = rules.flatMap((rule) => {
      if (!("type" in rule) || rule.type === "*") return [];
      const [, module = "", name = ""] = rule.type.split(":");
      const [folder = "", file = `${name[0]?.toLowerCase()}${name.slice(1)}`] = module.split("/");
      const at = join(dirname(packages.resolve(`${sdk}/package.json`)), folder.toLowerCase(), file);
      const declared = readFileSync(`${at}.d.ts`, "utf8");
      if (!readFileSync(`${at}.js`, "utf8").includes(`'${rule.type}'`)) return [`${rule.type} is not in ${at}.js`];
      const properties = [
        ...("properties" in rule ? rule.properties.flatMap((each) => each.split("|")) : []),
        ...("property" in rule ? [rule.property] : []),
      ].map((path) => path.split(/[.[]/)[0] ?? "");
      return properties
        .filter((property) => !new RegExp(`readonly ${property}\\??:|\\b${property}\\??: pulumi`).test(declared))
        .map((property) => `${rule.type} has no ${property}`);
    });
    expect([...new Set(wrong)]).toEqual([]);
  });
});

describe("the guide to the stand-in clouds", () => {
  it("is current, with every assumed rule in it: node infra/stand-in/guide.ts > docs/clouds/stand-ins.md", () => {
    expect(readFileSync(join(checkout, "docs", "clouds", "stand-ins.md"), "utf8")).toBe(standInGuide());
  });
});
