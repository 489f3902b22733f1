import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { type Demand, heldAfter, judge, type Ledgers } from "../../infra/budget.ts";
import { ledgersOf } from "../../infra/ledgers.ts";
import { phaseAt } from "../../infra/phase.ts";
import type { Surroundings } from "../../infra/plan.ts";
import { known } from "./known.ts";
import { planOf, type RandomFleet, randomFleet, randomGroup, randomInstant, randomLedgers } from "./random-fleet.ts";

const numRuns = Number(process.env.PLANS ?? 200);
// At its full count a test takes fifty times as long as in the quick tier.
vi.setConfig({ testTimeout: 300_000 + numRuns * 1000 });

const nothing: Demand = { phase: null, phases: {}, ledgerAgeDays: 90, accounts: {}, groups: {}, host: null };
const demandIn = (fleet: unknown, around?: Surroundings): Demand => planOf(fleet, around).demand ?? nothing;
const withCounts = (fleet: RandomFleet, countOf: (name: string, count: number) => number): RandomFleet => ({
  ...fleet,
  groups: Object.fromEntries(
    Object.entries(fleet.groups).map(([name, group]) => [name, { ...group, count: countOf(name, group.count) }]),
  ),
});

/** A month of 744 hours, worked out in another way: what it costs in micro-dollars, and what is used at no known price. */
interface PlainBill {
  readonly micro: number;
  /** Amounts times hours that no allowance covers, by account, quantity and region. */
  readonly unpriced: ReadonlyMap<string, number>;
}

const plainCost = (...of: Parameters<typeof plainBill>): number => plainBill(...of).micro;

function plainBill(demand: Demand, terms: Demand, ledgers: Ledgers, at: Date): PlainBill {
  let micro = 0;
  const unpriced = new Map<string, number>();
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
        .toSorted((a, b) => (a.region < b.region ? -1 : 1))
        .toSorted((a, b) => Number(a.price?.value ?? 1e9) - Number(b.price?.value ?? 1e9));
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
      for (const { region, amount, price } of used)
        if (price === undefined) unpriced.set(`${key} ${quantity}@${region}`, amount);
        else micro += amount * Number(price.value) * 1e6 * (price.unit.endsWith("-month") ? 1 / 744 : 1);
    }
  }
  return { micro, unpriced };
}

/** A record's demand, with all that may exist of it in the place of what is wanted. */
function whole({ held, ...demand }: Demand): Demand {
  if (held === undefined) return demand;
  const accounts = Object.entries({ ...held.accounts, ...demand.accounts }).map(([key, account]) => {
    const uses: Record<string, number> = {};
    for (const part of Object.values(held.parts[key] ?? {}))
      for (const [use, amount] of Object.entries(part)) uses[use] = (uses[use] ?? 0) + amount;
    return [key, { ...account, uses }] as const;
  });
  return { ...demand, accounts: Object.fromEntries(accounts) };
}

function countOf(demand: Demand, key: string, quantity: string): number {
  return Object.entries(demand.accounts[key]?.uses ?? {})
    .filter(([use]) => use.startsWith(`${quantity}@`))
    .reduce((sum, [, amount]) => sum + amount, 0);
}

describe("a change that is accepted", () => {
  it("raises nothing over a limit or at no known price, and no month's cost over the budget by a micro-dollar", () => {
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
          const had = plainBill(before, wanted, ledgers, at);
          const allowed = Math.max(budget, had.micro);
          // Each of some dozens of sums is rounded up to a micro-dollar, on both sides.
          const { micro: cost, unpriced } = plainBill(wanted, wanted, ledgers, at);
          for (const [use, amount] of unpriced) expect(amount).toBeLessThanOrEqual((had.unpriced.get(use) ?? 0) + 1e-6);
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

  it("is accepted so too where the counts leave an account unused whose free period the change forgot", () => {
    // Of all prices those of machines remain: on Azure, paid, one costs a little more than a second one on Google.
    const providers = [...known.providers].map(([name, facts]) => {
      const prices = facts.ledger.prices.map((price) =>
        /^(e2-micro|b2)/.test(price.quantity) ? price : { ...price, value: "0" },
      );
      return [name, { ...facts, ledger: { ...facts.ledger, prices } }] as const;
    });
    const around = { ...known, providers: new Map(providers) };
    const ledgers = ledgersOf(around.providers);
    const at = new Date("2026-01-01T00:00:00Z");
    const group = { workload: "sentry", network: null, retired: [], stopped: [] };
    const there = { ...group, provider: "azure", region: "westus2", size: "b2pts", count: 1 };
    const opened = { azure: { id: "a", opened: "2025-06-01" } };
    const before = demandIn({ schema: 1, groups: { a: there }, accounts: opened, acknowledge: {} }, around);
    const fleet: RandomFleet = {
      schema: 1,
      groups: {
        a: { ...there, region: "eastus", size: "b2ats" },
        c: { ...group, provider: "gcp", region: "us-central1", size: "e2-micro", count: 2 },
      },
      accounts: { azure: { id: "a" } },
      acknowledge: { gcp: true, azure: true },
    };
    const { refusals, fix } = judge(before, demandIn(fleet, around), ledgers, at);
    expect(refusals.map(({ path }) => path)).toEqual(["gradientlab:fleet.phase"]);
    const mended = demandIn(
      withCounts(fleet, (name, count) => fix.fit?.counts[name] ?? count),
      around,
    );
    expect(judge(before, mended, ledgers, at).refusals).toEqual([]);
  });
});

describe("a change that failed half-way", () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const step = fc.record({
    counts: fc.array(fc.oneof(fc.constant(0), fc.nat(12)), { minLength: 5, maxLength: 5 }),
    /** How far the engine got with each group, and whether it came to its end. */
    made: fc.array(share, { minLength: 5, maxLength: 5 }),
    gone: fc.array(share, { minLength: 5, maxLength: 5 }),
    end: fc.constantFrom("creating", "deleting", "complete"),
  });

  it("is bounded by its record, raises nothing, and traps nothing that may still exist", () => {
    let unsettled = 0;
    let refused = 0;
    fc.assert(
      fc.property(
        randomFleet,
        randomLedgers,
        randomInstant,
        fc.array(step, { minLength: 2, maxLength: 5 }),
        (fleet, around, at, steps) => {
          const ledgers = ledgersOf(around.providers);
          const names = Object.keys(fleet.groups);
          const withNodes = (nodes: readonly number[]): Demand =>
            demandIn(
              withCounts(fleet, (name) => nodes[names.indexOf(name)] ?? 0),
              around,
            );
          let real = names.map((name) => fleet.groups[name]?.count ?? 0);
          let record = withNodes(real);
          for (const { counts, made, gone, end } of steps) {
            const goal = names.map((_, n) => counts[n] ?? 0);
            const wanted = withNodes(goal);
            if (judge(record, wanted, ledgers, at).refusals.length > 0) {
              refused++;
              continue;
            }
            const before = record;
            const held = heldAfter(before, wanted);
            record = held === undefined ? wanted : { ...wanted, held };
            // Where an earlier change is open, what it left stands beside what is made until all of it is through.
            const most =
              before.held === undefined ? wanted : withNodes(goal.map((count, n) => Math.max(count, real[n] ?? 0)));
            const budget = phaseAt(wanted.phase, wanted.phases, at).budgetMicroUsdPerMonth;
            const had = whole(before);
            const allowed = Math.max(budget, plainCost(had, wanted, ledgers, at));
            expect(plainCost(most, wanted, ledgers, at)).toBeLessThan(allowed + (allowed > budget ? 40 : 0) + 0.001);
            for (const [key, account] of Object.entries(most.accounts))
              for (const { quantity, value } of ledgers.get(account.provider)?.limits ?? []) {
                const limit = Math.max(account.limits[quantity] ?? value, countOf(had, key, quantity));
                expect(countOf(most, key, quantity)).toBeLessThanOrEqual(limit);
              }

            real = real.map((was, n) => {
              const to = goal[n] ?? 0;
              if (to >= was) return end === "creating" ? was + Math.floor((to - was) * (made[n] ?? 0)) : to;
              if (end === "creating") return was;
              return end === "complete" ? to : was - Math.floor((was - to) * (gone[n] ?? 0));
            });
            if (end === "complete") record = wanted;
            if (record.held !== undefined) unsettled++;

            // The record is never below what exists.
            const exists = withNodes(real);
            for (const [key, { uses }] of Object.entries(exists.accounts))
              for (const use of new Set(Object.keys(uses).map((name) => name.replace(/ off$/, "")))) {
                const bound = whole(record).accounts[key]?.uses ?? {};
                expect(uses[use] ?? 0).toBeLessThanOrEqual(bound[use] ?? 0);
                expect((uses[use] ?? 0) + (uses[`${use} off`] ?? 0)).toBeLessThanOrEqual(
                  (bound[use] ?? 0) + (bound[`${use} off`] ?? 0),
                );
              }
            // What exists, what was accepted, and all below it passes.
            for (const nodes of [real, goal, real.map((count) => Math.floor(count / 2)), real.map(() => 0)])
              expect(judge(record, withNodes(nodes), ledgers, at).refusals).toEqual([]);
          }
        },
      ),
      { numRuns },
    );
    expect(unsettled).toBeGreaterThan(numRuns / 10);
    expect(refused).toBeGreaterThan(numRuns / 10);
  });

  it("names counts that are accepted while it is open", () => {
    let refused = 0;
    fc.assert(
      fc.property(
        randomFleet,
        randomFleet,
        randomFleet,
        randomLedgers,
        randomInstant,
        (old, less, more, around, at) => {
          const ledgers = ledgersOf(around.providers);
          const before = demandIn(old);
          const lower = demandIn(less);
          const held = heldAfter(before, lower);
          const open = held === undefined ? lower : { ...lower, held };
          const { refusals, fix } = judge(open, demandIn(more, around), ledgers, at);
          if (refusals.length === 0) return;
          refused++;
          const mended = withCounts(more, (name, count) => fix.fit?.counts[name] ?? count);
          const acknowledge = {
            ...(more.acknowledge as object),
            ...Object.fromEntries(fix.acknowledge.map((name) => [name, true])),
          };
          const collector = fix.fit?.host === false ? undefined : more.collector;
          expect(judge(open, demandIn({ ...mended, collector, acknowledge }, around), ledgers, at).refusals).toEqual(
            [],
          );
        },
      ),
      { numRuns: numRuns / 2 },
    );
    expect(refused).toBeGreaterThan(numRuns / 10);
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
