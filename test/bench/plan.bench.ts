import { createHash } from "node:crypto";
import { judge } from "../../infra/budget.ts";
import { parseConfig } from "../../infra/config.ts";
import { ledgersOf } from "../../infra/ledgers.ts";
import { planFleet } from "../../infra/plan.ts";
import { known } from "../infra/known.ts";
import { type BenchContext, type Figure, figure, median, paired, timed } from "./figure.ts";

const groups = [
  { provider: "oci", region: "us-ashburn-1", size: "a1-1-6" },
  { provider: "gcp", region: "us-central1", size: "e2-micro" },
  { provider: "azure", region: "eastus", size: "b2ats" },
  { provider: "oci", region: "us-phoenix-1", size: "e4-1-2" },
];

/**
 * The plan and its judgement for 1,000 machines on three clouds, against a plain loop that makes the same records of
 * literals: a key, a place, a price.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  const count = Math.max(groups.length, Math.round(1000 * scale));
  say(`${count} nodes`);
  const each = Math.ceil(count / groups.length);
  const fleet = {
    schema: 1,
    groups: Object.fromEntries(
      groups.map((group, n) => [`g${n}`, { ...group, count: each, workload: "sentry", network: null }]),
    ),
    phase: "grant",
    phases: { grant: { budgetUsdPerMonth: "20000", grantUsd: "1200000" } },
    acknowledge: { oci: true, gcp: true, azure: true },
  };
  const config = parseConfig({ "gradientlab:fleet": JSON.stringify(fleet) }, known);
  const ledgers = ledgersOf(known.providers);
  const at = new Date("2026-12-01T00:00:00Z");
  let nodes = 0;
  const plan = async (): Promise<number> =>
    timed(async () => {
      const { demand, nodes: planned } = planFleet(config, known);
      nodes = planned.length;
      if (demand === null || judge(null, demand, ledgers, at).refusals.length > 0)
        throw new Error("the plan was refused");
    });
  const plain = async (): Promise<number> =>
    timed(async () => {
      const records = groups.flatMap((group, n) => {
        const start = createHash("sha256").update(`g${n}`).digest().readUInt32BE(0);
        return Array.from({ length: each }, (_, slot) => ({
          spec: {
            key: `g${n}/${slot}`,
            group: `g${n}`,
            slot,
            ...group,
            placement: { domain: `AD-${(start + slot) % 3}`, shape: group.size },
          },
          record: { key: `g${n}/${slot}`, ...group, price: [{ item: "machine", microUsdPerMonth: 1_000_000 }] },
        }));
      });
      if (records.toSorted((a, b) => (a.spec.key < b.spec.key ? -1 : 1)).length !== nodes)
        throw new Error("another count");
    });
  const n = Math.max(5, Math.round(50 * scale));
  const { a, b } = await paired(n, plan, plain);
  yield figure("plan", `plan and judgement, ${nodes} nodes`, {
    value: median(a),
    floor: median(b),
    unit: "ms",
    n,
    target: "value <= 50",
  });
}
