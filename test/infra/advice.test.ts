import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { adviceOn } from "../../infra/advice.ts";
import { checkout } from "../../infra/engine/environment.ts";
import type { RulesFile } from "../../infra/stand-in/rules.ts";
import { known } from "./known.ts";

describe.each(["oci", "gcp", "azure"])("what to do about a refusal of %s", (name) => {
  const facts = known.providers.get(name);
  if (facts === undefined) throw new Error(`${name} has no facts`);
  const file = join(checkout, "infra", "providers", name, "stand-in", "rules.json");
  const { rules } = JSON.parse(readFileSync(file, "utf8")) as RulesFile;
  // Where a text names something, what it would name.
  const named = (text: string): string => text.replaceAll(/\{(?:[^}]*=)?([^}]*)\}/g, "$1");
  const errors = rules.flatMap((rule) => (rule.kind === "error" ? [{ case: rule.case, text: named(rule.text) }] : []));

  it.each(
    errors
      .filter((error) => /^(capacity|limit|quota|rate|auth|timeout|basic-ip|forbidden|not-changeable)/.test(error.case))
      .map((error) => [error.case, error.text]),
  )("is said for %s", (_case, text) => {
    expect(adviceOn("far/0", text, facts)).toMatch(/\.$/);
  });

  it("is nothing for words that nobody knows", () => {
    expect(adviceOn("far/0", "the moon is full", facts)).toBeUndefined();
  });

  it("is never taken for the provider's own words, so that it is not answered itself", () => {
    for (const { text } of errors) {
      const advice = adviceOn("far/0", text, facts);
      if (advice !== undefined) expect(adviceOn("far/0", advice, facts)).toBeUndefined();
    }
  });
});
