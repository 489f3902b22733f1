import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { judge } from "../../infra/budget.ts";
import { scarceMachines } from "../../infra/capacity.ts";
import { parseConfig } from "../../infra/config.ts";
import { forecast } from "../../infra/forecast.ts";
import { ledgersOf } from "../../infra/ledgers.ts";
import { planFleet } from "../../infra/plan.ts";
import { asJson, asMermaid, asText, type ToldPlan } from "../../infra/plan-text.ts";
import { BadInput } from "../../infra/problem.ts";
import { readStackFile } from "../../infra/stack-file.ts";
import { known } from "./known.ts";

const at = new Date("2026-12-01T00:00:00Z");

function told(): ToldPlan {
  const file = join(import.meta.dirname, "..", "..", "docs", "examples", "pilot.yaml");
  const { config, secret } = readStackFile(readFileSync(file, "utf8"), file);
  const plan = planFleet(parseConfig(config, known, secret), known);
  const ledgers = ledgersOf(known.providers);
  if (plan.demand === null) throw new Error("it demands nothing");
  const { refusals, warnings } = judge(null, plan.demand, ledgers, at);
  return { plan, ledgers, at, refusals, warnings, months: forecast(plan.demand, ledgers, at) };
}

describe("the plan of a stack's file", () => {
  it("is a table with the phase, the facts it rests on and the months ahead", () => {
    const text = asText(told());
    expect(text).toMatch(/^What the fleet costs in 2026-12\ngroup +account +machines +list price +free tier +to pay\n/);
    expect(text).toContain("phase pilot: $83.33 a month");
    expect(text).toContain("Google Cloud, VM instance pricing, checked 2026-11-21");
    expect(text).toMatch(/60 months at these counts: \$4,\d{3}\.\d\d\n/);
  });

  it("is one JSON object, whose rows add up to the bill", () => {
    const { cost, forecast: months, nodes } = JSON.parse(asJson(told()));
    const rows: { payMicroUsd: string }[] = cost.rows;
    expect(rows.reduce((sum, row) => sum + BigInt(row.payMicroUsd), 0n)).toBe(BigInt(cost.totalMicroUsd));
    expect(months).toHaveLength(60);
    expect(nodes).toHaveLength(8);
  });

  it("is a diagram of accounts and groups", () => {
    expect(asMermaid(told()).split("\n")[0]).toBe("flowchart LR");
    expect(asMermaid(told())).toMatch(/google: 8 machines, \$\d+\.\d\d a month/);
  });

  it("leaves out what is encrypted, and names the line that is no YAML", () => {
    expect(readStackFile("config:\n  gradientlab:secret:\n    secure: v1:x\n", "a file")).toEqual({
      config: {},
      secret: ["gradientlab:secret"],
    });
    expect(() => readStackFile("config:\n  a: [1\nb: 2\n", "a file")).toThrow(BadInput);
  });

  it("is refused where the file is none of a stack's, with the field at which that shows", () => {
    expect(readStackFile("", "a file").config).toEqual({});
    expect(readStackFile("encryptionsalt: v1:x\n", "a file").config).toEqual({});
    for (const [text, words] of [
      ["root:x:0:0\n", "It holds no fields, and a stack's file has a field config."],
      ["schema: 1\ngroups: {}\n", "schema stands at the top, where a stack's file has a field config."],
      ["config: [1]\n", "config is [1]."],
    ] as const)
      expect(() => readStackFile(text, "a file")).toThrow(words);
  });

  it("names the machines that a provider is often out of, and how to go on looking", () => {
    const file = join(import.meta.dirname, "..", "..", "docs", "examples", "free-tier.yaml");
    const plan = planFleet(parseConfig(readStackFile(readFileSync(file, "utf8"), file).config, known), known);
    expect(scarceMachines(plan, known.providers)).toEqual([
      "oci is often out of VM.Standard.A1.Flex and VM.Standard.E2.1.Micro (ampere, micro): npm run up goes on looking for room, where a plain pulumi up stops.",
    ]);
    expect(scarceMachines(told().plan, known.providers)).toEqual([]);
  });

  it("says that there is nothing to make where the config names no group", () => {
    const plan = planFleet(parseConfig({}, known), known);
    const none = { plan, ledgers: ledgersOf(known.providers), at, refusals: [], warnings: [], months: [] };
    expect(asText(none)).toBe("The config names no groups: there is nothing to make.");
  });
});
