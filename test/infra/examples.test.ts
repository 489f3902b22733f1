import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { judge, monthlyCost } from "../../infra/budget.ts";
import { parseConfig } from "../../infra/config.ts";
import { ledgersOf } from "../../infra/ledgers.ts";
import { type FleetPlan, planFleet } from "../../infra/plan.ts";
import { readStackFile } from "../../infra/stack-file.ts";
import { known } from "./known.ts";

const folder = join(import.meta.dirname, "..", "..", "docs", "examples");
const ledgers = ledgersOf(known.providers);
const at = new Date("2026-12-01T00:00:00Z");

function planned(name: string): FleetPlan {
  const { config, secret } = readStackFile(readFileSync(join(folder, `${name}.yaml`), "utf8"), name);
  return planFleet(parseConfig(config, known, secret), known);
}

describe("an example", () => {
  it.each(
    readdirSync(folder)
      .filter((file) => file.endsWith(".yaml"))
      .map((file) => file.replace(".yaml", "")),
  )("is accepted as it stands, with nothing deployed: %s", (name) => {
    const { demand, refusals } = planned(name);
    expect(refusals).toEqual([]);
    if (demand === null) throw new Error("it demands nothing");
    expect(judge(null, demand, ledgers, at).refusals).toEqual([]);
  });

  const costs = (name: string): bigint => {
    const { demand } = planned(name);
    return demand === null ? 0n : monthlyCost(demand, ledgers, at);
  };

  it("pays for public addresses at Google and Azure in the free tier, and for nothing else", () => {
    expect(costs("free-tier")).toBe(BigInt(744 * 5000));
    expect(planned("free-tier").nodes).toHaveLength(5);
    expect(costs("free-tier-azure")).toBe(BigInt(2 * 744 * 5000));
    expect(planned("free-tier-azure").nodes).toHaveLength(6);
  });

  it("has 100 machines for a grant of $100,000, each for less than $16.66", () => {
    expect(planned("grant").nodes).toHaveLength(100);
    expect(costs("grant")).toBeLessThan(1_666_000_000n);
  });
});

describe("the free tier example, when its year at Azure ends", () => {
  it("says 30 days before which counts fit, and is accepted with them", () => {
    const { demand } = planned("free-tier-azure");
    if (demand === null) throw new Error("it demands nothing");
    const near = new Date("2027-10-20T00:00:00Z");
    const { warnings, refusals } = judge(demand, demand, ledgers, near);
    expect(refusals).toEqual([]);
    expect(warnings).toContainEqual(
      "The free period of azure/00000000-0000-0000-0000-000000000001 ends on 2027-11-15. These counts fit what follows:\n  npx pulumi config set --path 'gradientlab:fleet.groups.azure.count' 0",
    );
    const after = judge(demand, demand, ledgers, new Date("2027-11-15T00:00:00Z"));
    expect(after.refusals).toEqual([]);
    expect(after.warnings.join("\n")).toMatch(
      /this change does not raise it, so it passes\. The fleet costs \$0\.\d\d a day\./,
    );
  });
});
