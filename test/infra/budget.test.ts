import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Demand, judge, type Ledgers } from "../../infra/budget.ts";
import { ledgersOf } from "../../infra/ledgers.ts";
import { phaseAt } from "../../infra/phase.ts";
import type { Surroundings } from "../../infra/plan.ts";
import { known } from "./known.ts";
import { planOf, type RandomFleet, randomFleet, randomGroup, randomInstant, randomLedgers } from "./random-fleet.ts";

const numRuns = Number(process.env.PLANS ?? 200);
const nothing: Demand = { phase: null, phases: {}, ledgerAgeDays: 90, accounts: {}, groups: {}, host: null };
const demandIn = (fleet: unknown, around?: Surroundings): Demand => planOf(fleet, around).demand ?? nothing;
const withCounts = (fleet: RandomFleet, countOf: (name: string, count: number) => number): RandomFleet => ({
  ...fleet,
  groups: Object.fromEntries(
    Object.entries(fleet.groups).map(([name, group]) => [name, { ...group, count: countOf(name, group.count) }]),
  ),
});

/** What a month of 744 hours costs, worked out in another way: unit by unit of thousandths of a micro-dollar. */
function plainCost(demand: Demand, terms: Demand, ledgers: Ledgers, at: Date): number {
  let micro = 0;
  for (const [key, account] of Object.entries(demand.accounts)) {
    const ledger = ledgers.get(account.provider);
    const { opened, free } = terms.accounts[key] ?? account;
    for (const quantity of new Set(Object.keys(account.uses).map((use) => use.split("@")[0] ?? ""))) {
      const scale = ledger?.quantities[quantity]?.unit === "MiB" ? 1024 : 1;
      const used = Object.entries(account.uses)
        .filter(([use]) => use.startsWith(`${quantity}@`) && !use.endsWith(" off"))
        .map(([use, amount]) => {
          const region = use.slice(quantity.length + 1);
          const prices = (ledger?.prices ?? []).filter((price) => price.quantity === quantity);
          const price =
            prices.find((each) => each.region === region) ?? prices.find((each) => each.region === undefined);
          return { region, amount: (amount * 744) / scale, price };
        })
        .toSorted((a, b) => Number(a.price?.value ?? Infinity) - Number(b.price?.value ?? Infinity));
      for (const allowance of ledger?.free ?? []) {
        if (allowance.quantity !== quantity) continue;
        const months = allowance.months;
        if (months !== undefined) {
          if (opened === null || at < new Date(opened)) continue;
          const end = new Date(opened);
          end.setUTCFullYear(end.getUTCFullYear() + months / 12);
          if (at >= end) continue;
        }
        let left = (free[quantity] ?? allowance.value) * (allowance.unit.endsWith("-month") ? 744 : 1);
        for (const use of used) {
          if (allowance.regions !== undefined && !allowance.regions.includes(use.region)) continue;
          const covered = Math.min(left, use.amount);
          use.amount -= covered;
          left -= covered;
        }
      }
      for (const { amount, price } of used)
        micro += amount * Number(price?.value ?? 0) * 1e6 * (price?.unit.endsWith("-month") ? 1 / 744 : 1);
    }
  }
  return micro;
}

function countOf(demand: Demand, key: string, quantity: string): number {
  return Object.entries(demand.accounts[key]?.uses ?? {})
    .filter(([use]) => use.startsWith(`${quantity}@`))
    .reduce((sum, [, amount]) => sum + amount, 0);
}

describe("a change that is accepted", () => {
  it("raises nothing over a limit, and no month's cost over the budget by a micro-dollar", () => {
    let accepted = 0;
    fc.assert(
      fc.property(
        randomFleet,
        randomFleet,
        randomLedgers,
        randomInstant,
        fc.boolean(),
        (old, fleet, around, at, fresh) => {
          const before = fresh ? nothing : demandIn(old);
          const wanted = demandIn(fleet, around);
          const ledgers = ledgersOf(around.providers);
          if (judge(before, wanted, ledgers, at).refusals.length > 0) return;
          accepted++;
          const budget = phaseAt(wanted.phase, wanted.phases, at).budgetMicroUsdPerMonth;
          const allowed = Math.max(budget, plainCost(before, wanted, ledgers, at));
          // Each of some dozens of sums is rounded up to a micro-dollar, on both sides.
          const cost = plainCost(wanted, wanted, ledgers, at);
          expect(cost).toBeLessThan(allowed + (allowed > budget ? 40 : 0) + 0.001);
          for (const [key, account] of Object.entries(wanted.accounts))
            for (const { quantity, value } of ledgers.get(account.provider)?.limits ?? []) {
              const limit = account.limits[quantity] ?? value;
              expect(countOf(wanted, key, quantity)).toBeLessThanOrEqual(
                Math.max(limit, countOf(before, key, quantity)),
              );
            }
        },
      ),
      { numRuns: numRuns * 2 },
    );
    expect(accepted).toBeGreaterThan(numRuns / 20);
  });

  it("is every one that lowers or keeps what was accepted, whatever ledger and date", () => {
    fc.assert(
      fc.property(
        randomFleet,
        randomLedgers,
        randomInstant,
        fc.infiniteStream(fc.nat(40)),
        (fleet, around, at, cuts) => {
          const ledgers = ledgersOf(around.providers);
          let before = demandIn(fleet, around);
          let now = fleet;
          // Down to nothing by any steps, each of which is accepted.
          for (let step = 0; step < 4; step++) {
            const next = withCounts(now, (_, count) =>
              Math.max(0, count - (step === 0 ? 0 : (cuts.next().value ?? 0))),
            );
            const wanted = demandIn(next, around);
            expect(judge(before, wanted, ledgers, at).refusals).toEqual([]);
            [now, before] = [next, wanted];
          }
          const none = { ...withCounts(now, () => 0), collector: undefined };
          expect(judge(before, demandIn(none, around), ledgers, at).refusals).toEqual([]);
          expect(demandIn(none, around).accounts).toEqual({});
        },
      ),
      { numRuns },
    );
  });
});

describe("a change that is refused", () => {
  it("is accepted once what its refusals say is done", () => {
    let refused = 0;
    fc.assert(
      fc.property(randomFleet, randomFleet, randomLedgers, randomInstant, (old, fleet, around, at) => {
        const ledgers = ledgersOf(around.providers);
        const before = demandIn(old);
        const { refusals, fix } = judge(before, demandIn(fleet, around), ledgers, at);
        if (refusals.length === 0) return;
        refused++;
        for (const { message, fix: words } of refusals) expect(`${message} ${words}`).toMatch(/^[^\n]+\.$/);
        const read = Object.fromEntries(fix.acknowledge.map((name) => [name, true]));
        const mended = withCounts(fleet, (name, count) => fix.fit?.counts[name] ?? count);
        const collector = fix.fit?.host === false ? undefined : fleet.collector;
        const acknowledge = { ...(fleet.acknowledge as object), ...read };
        const wanted = demandIn({ ...mended, collector, acknowledge }, around);
        expect(judge(before, wanted, ledgers, at).refusals).toEqual([]);
      }),
      { numRuns },
    );
    expect(refused).toBeGreaterThan(numRuns / 4);
  });
});

describe("a plan of clouds", () => {
  const wholes = (fleet: RandomFleet): Map<string, unknown> =>
    new Map(planOf(fleet).nodes.map(({ spec, record }) => [spec.key, { spec, record }]));

  it("changes exactly as many nodes as a count does, and none of another group", () => {
    fc.assert(
      fc.property(randomFleet, randomGroup, fc.nat(40), fc.nat(40), (fleet, group, from, to) => {
        const [few, many] = [from, to].map((count) =>
          wholes({ ...fleet, groups: { ...fleet.groups, x: { ...group, count } } }),
        );
        const keys = new Set([...(few?.keys() ?? []), ...(many?.keys() ?? [])]);
        const changed = [...keys].filter((key) => JSON.stringify(few?.get(key)) !== JSON.stringify(many?.get(key)));
        expect(changed).toHaveLength(Math.abs(from - to));
        expect(changed.every((key) => key.startsWith("x/"))).toBe(true);
      }),
      { numRuns },
    );
  });

  it("keeps every node of the others when a group becomes another one, or goes", () => {
    fc.assert(
      fc.property(randomFleet, randomGroup, fc.option(randomGroup), (fleet, group, other) => {
        const before = wholes({ ...fleet, groups: { ...fleet.groups, x: group } });
        const after = wholes({ ...fleet, groups: { ...fleet.groups, ...(other === null ? {} : { x: other }) } });
        for (const [key, node] of before) if (!key.startsWith("x/")) expect(after.get(key)).toEqual(node);
      }),
      { numRuns: numRuns / 2 },
    );
  });

  it("is the same, and judged the same, whatever the order in the file", () => {
    fc.assert(
      fc.property(randomFleet, randomInstant, (fleet, at) => {
        const turned = { ...fleet, groups: Object.fromEntries(Object.entries(fleet.groups).toReversed()) };
        const [one, two] = [planOf(fleet), planOf(turned)];
        expect(two).toEqual(one);
        const ledgers = ledgersOf(known.providers);
        expect(judge(null, two.demand ?? nothing, ledgers, at)).toEqual(
          judge(null, one.demand ?? nothing, ledgers, at),
        );
      }),
      { numRuns: numRuns / 2 },
    );
  });
});
