import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Demand, judge } from "../../infra/budget.ts";
import { checkout } from "../../infra/engine/environment.ts";
import type { Ledger } from "../../infra/ledger.ts";
import { ledgersOf } from "../../infra/ledgers.ts";
import { reportText } from "../../infra/report.ts";
import { known } from "./known.ts";
import { planOf } from "./random-fleet.ts";

/** What a plan or a preview says of a fleet that it accepts. */

const ledgers = ledgersOf(known.providers);
const at = new Date("2026-12-01T00:00:00Z");
const machine = { workload: "sentry", network: null };
const google = { ...machine, provider: "gcp", region: "us-central1", size: "e2-micro" };
const azure = { ...machine, provider: "azure", region: "eastus", size: "b2ats" };

function demandOf(groups: Readonly<Record<string, object>>, more: object = {}): Demand {
  const { demand } = planOf({ schema: 1, groups, acknowledge: { gcp: true, azure: true, oci: true }, ...more });
  if (demand === null) throw new Error("it demands nothing");
  return demand;
}
const notices = (demand: Demand, when = at, with_ = ledgers): readonly string[] =>
  judge(demand, demand, with_, when).warnings;

describe("what is over and is not raised", () => {
  const phases = { tight: { start: "2026-11-15", budgetUsdPerMonth: "20" } };
  const over = demandOf({ far: { ...google, count: 4 } }, { phase: "tight", phases });

  it("is named with its cost, since when it is over, and what the fleet costs a day", () => {
    expect(judge(over, over, ledgers, at).refusals).toEqual([]);
    expect(notices(over).filter((said) => said.includes("over"))).toEqual([
      "The fleet would cost $34.34 in a month of 31 days, and the phase tight has $20.00 a month. It is over since 2026-11-15; this change does not raise it, so it passes. The fleet costs $1.11 a day.",
    ]);
  });

  it("is named for a limit since the day on which the ledger had the limit checked", () => {
    const micro = { ...machine, provider: "oci", region: "us-ashburn-1", size: "micro" };
    const two = demandOf({ free: { ...micro, count: 2 } });
    const oracle = ledgers.get("oci") as Ledger;
    const lowered = oracle.limits.map((limit) =>
      limit.quantity === "e2-micro" ? { ...limit, value: 1, checkedOn: "2026-11-30" } : limit,
    );
    const [said] = notices(two, at, new Map([...ledgers, ["oci", { ...oracle, limits: lowered }]]));
    expect(said).toMatch(
      /^The fleet would have 2 of VM\.Standard\.E2\.1\.Micro in oci, and the limit is 1 \(.+, checked 2026-11-30\)\. It is over since 2026-11-30; this change does not raise it, so it passes\. The fleet costs \$0\.00 a day\.$/,
    );
  });
});

describe("a change for which both the old and the new would be over a limit", () => {
  const micro = { ...machine, provider: "oci", region: "us-ashburn-1", size: "micro" };
  const crowded = (before: Demand, wanted: Demand): readonly string[] =>
    judge(before, wanted, ledgers, at).warnings.filter((said) => said.includes("until what is to go is gone"));

  it("passes with a sentence on how to make room first, since the engine makes before it removes", () => {
    const old = demandOf({ old: { ...micro, count: 2 } });
    const other = demandOf({ other: { ...micro, count: 2 } });
    expect(judge(old, other, ledgers, at).refusals).toEqual([]);
    expect(crowded(old, other)).toEqual([
      "The fleet would have 4 of VM.Standard.E2.1.Micro in oci, and the limit is 2 (OCI documentation, Always Free Resources: two instances, not sold beyond, checked 2026-11-21). So it would be until what is to go is gone. Where machines that are to go still count, bring the stack up without the new ones first: set their count to 0, and raise it afterwards.",
    ]);
  });

  it("says nothing of it where there is room for both, or the change only lowers", () => {
    const [one, two] = [1, 2].map((count) => demandOf({ old: { ...micro, count } })) as [Demand, Demand];
    expect(crowded(two, one)).toEqual([]);
    expect(crowded(one, demandOf({ other: { ...micro, count: 1 } }))).toEqual([]);
    expect(crowded(two, two)).toEqual([]);
  });
});

describe("a phase that ends", () => {
  const phases = {
    pilot: { end: "2027-03-01", then: "lean", budgetUsdPerMonth: "100" },
    lean: { start: "2027-03-01", budgetUsdPerMonth: "30" },
  };
  const demand = demandOf({ far: { ...google, count: 8 } }, { phase: "pilot", phases });

  it("is named from 30 days before on, with the counts that fit the next as a patch of the config", () => {
    const words = (day: string): string =>
      notices(demand, new Date(day))
        .filter((said) => said.includes("phase"))
        .join();
    expect(words("2027-01-29T23:00:00Z")).toBe("");
    expect(words("2027-01-30T00:00:01Z")).toBe(
      "The phase pilot ends on 2027-03-01. These counts fit what follows:\n  npx pulumi config set --path 'gradientlab:fleet.groups.far.count' 3",
    );
  });

  it("has counts in that patch which are accepted once it ended, one more being refused", () => {
    const ended = new Date("2027-03-01T00:00:00Z");
    const judged = (count: number) =>
      judge(null, demandOf({ far: { ...google, count } }, { phase: "pilot", phases }), ledgers, ended).refusals;
    expect(judged(3)).toEqual([]);
    expect(judged(4)).toHaveLength(1);
  });

  it("says that the counts fit where they do, and names the collector's machine where it has to go", () => {
    const soon = new Date("2027-02-20T00:00:00Z");
    const fits = demandOf({ far: { ...google, count: 2 } }, { phase: "pilot", phases });
    expect(notices(fits, soon)).toContain("The phase pilot ends on 2027-03-01. The counts fit what follows.");
    const host = { provider: "gcp", region: "us-central1", size: "e2-small" };
    const wound = { pilot: { ...phases.pilot, then: "wind-down" } };
    const last = demandOf({ far: { ...google, count: 1 } }, { phase: "pilot", phases: wound, collector: { host } });
    expect(notices(last, soon).join()).toContain(
      "These counts fit what follows:\n  npx pulumi config set --path 'gradientlab:fleet.groups.far.count' 0\n  npx pulumi config rm --path 'gradientlab:fleet.collector'",
    );
  });
});

describe("a free period that ends", () => {
  it("is named from 30 days before on, with the counts that fit what follows", () => {
    const file = join(checkout, "docs", "examples", "free-tier-azure.yaml");
    const { config } = parse(readFileSync(file, "utf8")) as { config: Record<string, unknown> };
    const { demand } = planOf(config["gradientlab:fleet"]);
    if (demand === null) throw new Error("it demands nothing");
    const words = (day: string): string =>
      notices(demand, new Date(day))
        .filter((said) => said.includes("free period"))
        .join();
    expect(words("2027-10-15T00:00:00Z")).toBe("");
    expect(words("2027-10-16T00:00:01Z")).toBe(
      "The free period of azure/00000000-0000-0000-0000-000000000001 ends on 2027-11-15. These counts fit what follows:\n  npx pulumi config set --path 'gradientlab:fleet.groups.azure.count' 0",
    );
  });
});

describe("an entry of a ledger that is old", () => {
  const old = (demand: Demand, day: string): readonly string[] =>
    notices(demand, new Date(day)).filter((said) => said.includes("older than"));

  it("is named once it is older than the config wants it, where the fleet rests on it", () => {
    const demand = demandOf({ near: { ...azure, count: 1 } });
    expect(old(demand, "2027-02-19")).toEqual([]);
    expect(old(demand, "2027-02-20")).toEqual([
      "This rests on 6 entries of the ledger of azure older than 90 days, the oldest of 2026-11-21: run npm run prices:refresh, and look up by hand what it does not know, in infra/providers/azure/ledger.json.",
    ]);
    expect(old({ ...demand, ledgerAgeDays: 400 }, "2027-02-20")).toEqual([]);
  });

  it("is not named where the fleet does not rest on it", () => {
    expect(old(demandOf({ far: { ...google, count: 1 } }), "2026-12-01")).toEqual([]);
    expect(old(demandOf({ far: { ...google, region: "us-east1", count: 1 } }), "2026-12-01").join()).toContain(
      "This rests on 1 entry of the ledger of gcp older than 90 days, the oldest of 2025-03-06",
    );
  });
});

describe("an entry of a ledger that others quote the provider for", () => {
  const quoted = (demand: Demand): readonly string[] =>
    notices(demand).filter((said) => said.includes("from others who quote"));

  it("is told with who quotes it, where the bill rests on it", () => {
    const traffic = { ...azure, count: 1, options: { egressGibPerMonth: 200 } };
    expect(quoted(demandOf({ near: traffic }))).toEqual([
      "These entries of the ledger of azure come from others who quote the provider, not from its own pages: the price of outbound traffic a month, what is free of outbound traffic a month (c3x.dev, Azure egress bandwidth cost). Compare them with those pages or your account before you rely on them.",
    ]);
    const [east] = quoted(demandOf({ far: { ...google, region: "us-east1", count: 2 } }));
    expect(east).toContain(
      "the price of e2-micro in us-east1 (Cyclenerd/google-cloud-pricing-cost-calculator, pricing.yml)",
    );
    expect(
      quoted(demandOf({ own: { ...machine, provider: "oci", region: "us-phoenix-1", size: "e4-1-2", count: 1 } })),
    ).toEqual([]);
  });

  it("is marked in the facts of the plan's table", () => {
    const demand = demandOf({ far: { ...google, count: 1 } });
    expect(reportText(demand, ledgers, at)).toMatch(
      /outbound traffic a month, free .+, as quoted by third parties, checked/,
    );
  });
});

describe("a region whose prices are not known", () => {
  it("is told which region's prices stand in, in one sentence, and how to add its own", () => {
    const west = { ...azure, region: "westus2", size: "b2pts", count: 2 };
    expect(notices(demandOf({ near: { ...azure, count: 2 } })).join()).not.toContain("stand in");
    expect(notices(demandOf({ west }))).toContain(
      "The ledger of azure has no prices of westus2 for E4 disks of 32 GiB: those of eastus stand in, and the bill may differ. To add it: run npm run prices:refresh -- --provider azure --region westus2 --write.",
    );
    const far = demandOf({ far: { ...google, region: "us-west1", count: 4, options: { egressGibPerMonth: 9 } } });
    expect(notices(far)).toContain(
      "The ledger of gcp has no prices of us-west1 for outbound traffic a month, standard persistent disk: those of us-central1 stand in, and the bill may differ. To add it: write it with source and day into infra/providers/gcp/ledger.json.",
    );
  });

  it("is refused for a machine, with where its price is to be added", () => {
    const fixes = (group: object): string =>
      judge(null, demandOf({ a: { ...group, count: 3 } }), ledgers, at)
        .refusals.map(({ fix }) => fix)
        .join("\n");
    expect(fixes({ ...azure, region: "westeurope" })).toContain(
      "or add the price: run npm run prices:refresh -- --provider azure --region westeurope --write.",
    );
    expect(fixes({ ...google, region: "europe-west4" })).toContain(
      "or add the price: write it with source and day into infra/providers/gcp/ledger.json.",
    );
  });
});
