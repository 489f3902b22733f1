import fc from "fast-check";
import { parseConfig } from "../../infra/config.ts";
import type { Ledger } from "../../infra/ledger.ts";
import { type FleetPlan, planFleet, type Surroundings } from "../../infra/plan.ts";
import { known } from "./known.ts";

/** A fleet as a user writes it, of any provider and with any numbers, right and affordable or not. */
export interface RandomFleet {
  readonly schema: 1;
  readonly groups: Readonly<Record<string, RandomGroup>>;
  readonly [field: string]: unknown;
}
export interface RandomGroup {
  readonly count: number;
  readonly retired: readonly number[];
  readonly [field: string]: unknown;
}

const places: readonly { provider: string; regions: readonly string[] }[] = [
  { provider: "oci", regions: ["us-ashburn-1", "eu-zurich-1", "us-phoenix-1"] },
  { provider: "gcp", regions: ["us-central1", "us-west1", "europe-west4"] },
  { provider: "azure", regions: ["eastus", "westus2", "westus"] },
  { provider: "shed", regions: ["garden", "yard"] },
];
const sizesOf = (provider: string): string[] => Object.keys(known.providers.get(provider)?.ledger.sizes ?? {});
const clouds = ["oci", "gcp", "azure"];

const count = fc.oneof({ weight: 3, arbitrary: fc.nat(6) }, fc.nat(40));

export const randomGroup: fc.Arbitrary<RandomGroup> = fc.constantFrom(...places).chain(({ provider, regions }) =>
  fc.record({
    provider: fc.constant(provider),
    region: fc.constantFrom(...regions),
    size: fc.constantFrom(...sizesOf(provider)),
    count,
    retired: fc.uniqueArray(fc.nat(8), { maxLength: 3 }),
    stopped: provider === "shed" ? fc.constant([]) : fc.uniqueArray(fc.nat(8), { maxLength: 3 }),
    workload: fc.constant(provider === "shed" ? "pulse" : "sentry"),
    network: fc.constant(null),
  }),
);

const money = fc.oneof(
  fc.constant("0"),
  fc.nat(60).map(String),
  fc.nat(90_000_000).map((micro) => `${Math.floor(micro / 1e6)}.${String(micro % 1e6).padStart(6, "0")}`),
);
const day = fc
  .date({ min: new Date("2025-06-01"), max: new Date("2029-01-01"), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));

const accounts = fc.record(
  Object.fromEntries(
    clouds.map((provider) => [
      provider,
      fc.record(
        {
          id: fc.constantFrom("a", "b"),
          opened: day,
          limits: fc.constantFrom({}, ...(provider === "oci" ? [{ vcn: 1 }] : [])),
        },
        { requiredKeys: ["id"] },
      ),
    ]),
  ),
  { requiredKeys: [] },
);

const phases = fc
  .record({ budget: money, grant: fc.option(money), end: fc.option(day), next: fc.option(money) })
  .map(({ budget, grant, end, next }) => ({
    phase: "now",
    phases: {
      now: {
        budgetUsdPerMonth: budget,
        ...(grant === null ? {} : { grantUsd: grant }),
        ...(end === null ? {} : { end, then: next === null ? "wind-down" : "next" }),
      },
      ...(next === null ? {} : { next: { budgetUsdPerMonth: next } }),
    },
  }));

const host = fc.constantFrom(
  { provider: "gcp", region: "us-central1", size: "e2-small" },
  { provider: "oci", region: "us-ashburn-1", size: "a1-1-6" },
);

export const randomFleet: fc.Arbitrary<RandomFleet> = fc
  .record({
    groups: fc.dictionary(fc.constantFrom("a", "b", "c", "d", "e"), randomGroup, { maxKeys: 4 }),
    phase: fc.option(phases, { freq: 6 }),
    accounts,
    host: fc.option(host),
    read: fc.subarray(clouds, { minLength: 0 }),
  })
  .map(({ groups, phase, accounts: named, host: machine, read }) => ({
    schema: 1,
    groups,
    accounts: named,
    ...(phase ?? {}),
    ...(machine === null ? {} : { collector: { host: machine } }),
    acknowledge: Object.fromEntries(read.map((name) => [name, true])),
  }));

/** Ledgers that lost entries, and whose limits, allowances and prices are others. */
export const randomLedgers: fc.Arbitrary<Surroundings> = fc
  .record({
    keep: fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
    factor: fc.constantFrom(0, 1, 1, 2, 7),
    price: fc.constantFrom("0", "0.000000001", "0.0123", "3"),
  })
  .map(({ keep, factor, price }) => {
    const changed = <Entry>(entries: readonly Entry[], change: (entry: Entry) => Entry): Entry[] =>
      entries.flatMap((entry, index) => (keep[index % keep.length] ? [entry] : index % 3 === 0 ? [] : [change(entry)]));
    const ledgerOf = (ledger: Ledger): Ledger => ({
      ...ledger,
      limits: changed(ledger.limits, (limit) => ({ ...limit, value: limit.value * factor })),
      free: changed(ledger.free, (each) => ({ ...each, value: each.value * factor })),
      prices: changed(ledger.prices, (each) => ({ ...each, value: price })),
    });
    const providers = [...known.providers].map(
      ([name, facts]) => [name, { ...facts, ledger: ledgerOf(facts.ledger) }] as const,
    );
    return { ...known, providers: new Map(providers) };
  });

/** Any instant that a fleet may be planned at. */
export const randomInstant: fc.Arbitrary<Date> = fc.date({
  min: new Date("2026-01-01"),
  max: new Date("2030-01-01"),
  noInvalidDate: true,
});

export function planOf(fleet: unknown, around: Surroundings = known): FleetPlan {
  return planFleet(parseConfig({ "gradientlab:fleet": JSON.stringify(fleet) }, around), around);
}
