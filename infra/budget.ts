import { z } from "zod";
import { makeRoomFirst } from "./advice.ts";
import { dateOf, daysBetween, longestMonthHours } from "./calendar.ts";
import { type CostLine, costLines, freeUntil, sumOf, type Uses } from "./cost.ts";
import { forecast } from "./forecast.ts";
import { type Ledger, sourceOf } from "./ledger.ts";
import { dollars } from "./money.ts";
import { phaseAt } from "./phase.ts";
import { priceOf } from "./price.ts";
import type { Problem } from "./problem.ts";

/**
 * What may be made, given the ledgers, the budget and what was last accepted. A quantity or a cost that is over its
 * limit is refused only where the change raises it: what keeps or lowers it passes, whatever the ledgers say.
 */

const Amounts = z.record(z.string(), z.int().nonnegative());

/** One provider's account, with all that the fleet uses of it. */
const AccountDemand = z.strictObject({
  provider: z.string(),
  opened: z.string().nullable(),
  free: Amounts,
  limits: Amounts,
  uses: Amounts,
  /** What the nodes of a region share, by region. */
  sites: z.record(z.string(), Amounts),
  /** What has to be acknowledged and is not: a name, and the sentence that says what it is about. */
  unread: z.record(z.string(), z.string()),
});

/** What a group uses, so that a count can be named that would be accepted. */
const GroupDemand = z.strictObject({
  account: z.string(),
  region: z.string(),
  count: z.int().nonnegative(),
  uses: Amounts,
  /** The most that any one of its nodes uses. */
  each: Amounts,
});

const Phase = z.strictObject({
  start: z.string().nullable(),
  end: z.string().nullable(),
  then: z.string().nullable(),
  budgetMicroUsdPerMonth: z.int().nonnegative(),
  grantMicroUsd: z.int().nonnegative().nullable(),
});

/** Amounts by account and by what uses them: a group, the collector's machine, or what the nodes of a region share. */
const Parts = z.record(z.string(), z.record(z.string(), Amounts));
type Parts = z.infer<typeof Parts>;

/** What may exist, and the accounts of it that the demand beside it does not name. */
const Held = z.strictObject({ accounts: z.record(z.string(), AccountDemand), parts: Parts });
type Held = z.infer<typeof Held>;

/** All that a fleet demands of the accounts: a value of the config alone, without a clock reading. */
export const Demand = z.strictObject({
  phase: z.string().nullable(),
  phases: z.record(z.string(), Phase),
  ledgerAgeDays: z.int().positive(),
  accounts: z.record(z.string(), AccountDemand),
  groups: z.record(z.string(), GroupDemand),
  /** The collector's own machine. */
  host: z.strictObject({ account: z.string(), region: z.string(), uses: Amounts }).nullable(),
  /**
   * The most that may exist while a change that lowers something is under way or has failed: of each part what was accepted
   * before or what is wanted now, whichever is more. It stands in a record only, and only until the change is complete.
   */
  held: Held.optional(),
});
export type Demand = z.infer<typeof Demand>;
type AccountDemand = z.infer<typeof AccountDemand>;

export type Ledgers = ReadonlyMap<string, Ledger>;

/** The counts of groups, and whether the collector keeps a machine of its own, that would be accepted. */
export interface Fit {
  readonly counts: Readonly<Record<string, number>>;
  readonly host: boolean;
}

export interface Judgement {
  /** What may not be raised. Each fix, made together with the others, is accepted. */
  readonly refusals: readonly Problem[];
  /** What is over and passes, because the change does not raise it; what is old, or ends soon. */
  readonly warnings: readonly string[];
  /** What the fixes of the refusals say: the names to acknowledge, and the counts. */
  readonly fix: { readonly acknowledge: readonly string[]; readonly fit: Fit | null };
}

const root = "gradientlab:fleet";

/** How long before a phase or a free period ends its successor is named. */
const noticeDays = 30;

/**
 * Judges a demand against what was last accepted; `before` is null where nothing was. Where it has `held`, what a change
 * may not have removed yet counts on both sides: as kept where it is wanted again, and on top where other things are wanted.
 * `at` is the instant (UTC).
 */
export function judge(before: Demand | null, wanted: Demand, ledgers: Ledgers, at: Date): Judgement {
  const had = before === null ? null : mayExist(before);
  const whole = withLeftover(before, wanted);
  const excesses = excessesOf(had, whole, ledgers, at, barOf(had, wanted, ledgers, at));
  const unread = unreadOf(had, wanted);
  const refused = excesses.filter((excess) => excess.raised);
  const fit = refused.length === 0 ? null : fitOf(before, wanted, ledgers, at);
  const fixes = fit === null ? "" : fitSentence(wanted, fit);
  const left = whole === wanted ? "" : " It counts what an earlier change was to remove and may not have yet.";
  return {
    refusals: [
      ...unread.map(({ name, says }): Problem => {
        const path = `${root}.acknowledge.${name}`;
        return {
          path,
          value: undefined,
          message: `${path} is missing. ${says}`,
          fix: `Read the terms, and set ${path} to "${dateOf(at)}".`,
        };
      }),
      ...refused.map(
        ({ path, value, message, or }): Problem => ({
          path,
          value,
          message: `${message}${left}`,
          fix: `${fixes}${or}`,
        }),
      ),
    ],
    warnings: [
      ...excesses.filter(({ raised }) => !raised).map((excess) => keptSentence(excess, whole, ledgers, at)),
      ...crowdedWarnings(before, wanted, ledgers),
      ...standInWarnings(wanted, ledgers, at),
      ...quotedWarnings(wanted, ledgers, at),
      ...ageWarnings(wanted, ledgers, at),
      ...endWarnings(wanted, ledgers, at),
    ],
    fix: { acknowledge: unread.map(({ name }) => name), fit },
  };
}

/**
 * Returns the most that may exist once this demand is accepted after `before` and until its change is complete; `undefined`
 * where that is no more than what is demanded.
 */
export function heldAfter(before: Demand | null, wanted: Demand): Held | undefined {
  if (before === null) return undefined;
  const own = partsOf(wanted);
  const parts = mostOf(before.held?.parts ?? partsOf(before), own);
  if (covers(own, parts)) return undefined;
  const others = Object.entries({ ...before.held?.accounts, ...before.accounts }).filter(
    ([key]) => parts[key] !== undefined && wanted.accounts[key] === undefined,
  );
  return { accounts: Object.fromEntries(others), parts };
}

/** Returns what was accepted with the uses that may exist of it. */
function mayExist(before: Demand): Demand {
  if (before.held === undefined) return before;
  return withParts({ ...before, accounts: { ...before.held.accounts, ...before.accounts } }, before.held.parts);
}

/** Returns what is demanded with the uses that may exist beside it, because an earlier change is not complete. */
function withLeftover(before: Demand | null, wanted: Demand, fit?: Fit): Demand {
  const own = partsOf(wanted, fit);
  if (before?.held === undefined) return fit === undefined ? wanted : withParts(wanted, own);
  const accounts = { ...before.held.accounts, ...before.accounts, ...wanted.accounts };
  return withParts({ ...wanted, accounts }, mostOf(before.held.parts, own));
}

/** Returns a demand by what uses it. With a fit, of so many nodes, each counted as the largest of its group. */
function partsOf(demand: Demand, fit?: Fit): Parts {
  const parts: Record<string, Record<string, Uses>> = {};
  const sites = new Map<string, Set<string>>();
  const add = (account: string, region: string, part: string, uses: Uses): void => {
    parts[account] = { ...parts[account], [part]: uses };
    sites.set(account, (sites.get(account) ?? new Set()).add(region));
  };
  for (const [name, group] of Object.entries(demand.groups)) {
    const count = Math.min(fit?.counts[name] ?? (fit === undefined ? group.count : 0), group.count);
    if (count === 0) continue;
    add(group.account, group.region, `group ${name}`, count === group.count ? group.uses : times(group.each, count));
  }
  if (demand.host !== null && fit?.host !== false)
    add(demand.host.account, demand.host.region, "collector", demand.host.uses);
  for (const [account, regions] of sites)
    for (const region of regions) {
      const site = demand.accounts[account]?.sites[region];
      if (site !== undefined) add(account, region, `site ${region}`, site);
    }
  return parts;
}

/** Returns a demand without the accounts of which these counts use nothing: it says nothing of their terms any more. */
function withoutUnused(demand: Demand, fit: Fit): Demand {
  const parts = partsOf(demand, fit);
  const accounts = Object.entries(demand.accounts).filter(([key]) => parts[key] !== undefined);
  return { ...demand, accounts: Object.fromEntries(accounts) };
}

/** Returns a demand whose accounts use what these parts add up to. */
function withParts(demand: Demand, parts: Parts): Demand {
  const accounts = Object.entries(demand.accounts).map(([key, account]): [string, AccountDemand] => {
    const uses: Record<string, number> = {};
    for (const part of Object.values(parts[key] ?? {}))
      for (const [use, amount] of Object.entries(part)) uses[use] = (uses[use] ?? 0) + amount;
    return [key, { ...account, uses }];
  });
  return { ...demand, accounts: Object.fromEntries(accounts) };
}

/** Returns the larger of both, part by part. */
function mostOf(one: Parts, other: Parts): Parts {
  const keys = (a: object = {}, b: object = {}): string[] =>
    [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted();
  return Object.fromEntries(
    keys(one, other).map((account) => [
      account,
      Object.fromEntries(
        keys(one[account], other[account]).map((part) => [
          part,
          mostUses(one[account]?.[part] ?? {}, other[account]?.[part] ?? {}),
        ]),
      ),
    ]),
  );
}

/** Returns the most that is on, and as much off that on and off together are the most of both: a limit counts the two. */
function mostUses(one: Uses, other: Uses): Uses {
  const most: Record<string, number> = {};
  const names = new Set([...Object.keys(one), ...Object.keys(other)].map((use) => use.replace(/ off$/, "")));
  for (const use of [...names].toSorted()) {
    const on = Math.max(one[use] ?? 0, other[use] ?? 0);
    const off = Math.max(totalOf(one, use), totalOf(other, use)) - on;
    if (on > 0) most[use] = on;
    if (off > 0) most[`${use} off`] = off;
  }
  return most;
}

/** Returns how much there is of a use, powered on or off. */
function totalOf(uses: Uses, use: string): number {
  return (uses[use] ?? 0) + (uses[`${use} off`] ?? 0);
}

/** Returns whether the first has at least as much of every part as the second, powered as it is. */
function covers(one: Parts, other: Parts): boolean {
  return Object.entries(other).every(([account, parts]) =>
    Object.entries(parts).every(([part, uses]) =>
      Object.keys(uses).every((name) => {
        const use = name.replace(/ off$/, "");
        const own = one[account]?.[part] ?? {};
        return (own[use] ?? 0) >= (uses[use] ?? 0) && totalOf(own, use) >= totalOf(uses, use);
      }),
    ),
  );
}

function times(uses: Uses, count: number): Uses {
  return Object.fromEntries(Object.entries(uses).map(([use, amount]) => [use, amount * count]));
}

/** Returns what all accounts cost in the longest month under the ledgers of `at`, in micro-dollars. */
export function monthlyCost(demand: Demand, ledgers: Ledgers, at: Date): bigint {
  return Object.values(demand.accounts).reduce(
    (sum, account) => sum + sumOf(linesOf(account, account.uses, ledgers, at)),
    0n,
  );
}

interface Excess {
  readonly raised: boolean;
  readonly path: string;
  readonly value: string;
  readonly message: string;
  /** What else could be changed than counts. */
  readonly or: string;
  /** The day since which it is over, as far as the ledgers and the config tell. */
  readonly since: string;
}

/** What was accepted costs, under the terms that hold now: what may be kept, over the budget or not. */
interface Bar {
  readonly month: bigint;
  readonly phase: bigint;
}

const nothingAccepted: Bar = { month: -1n, phase: -1n };

function barOf(before: Demand | null, wanted: Demand, ledgers: Ledgers, at: Date): Bar {
  if (before === null) return nothingAccepted;
  const was = underTermsOf(before, wanted);
  const phase = phaseAt(wanted.phase, wanted.phases, at);
  return {
    month: monthlyCost(was, ledgers, at),
    phase: phase.grantMicroUsd === null ? 0n : phaseCost(was, ledgers, phase.name, phase.from ?? at),
  };
}

function excessesOf(before: Demand | null, wanted: Demand, ledgers: Ledgers, at: Date, bar: Bar): Excess[] {
  return [
    ...limitExcesses(before, wanted, ledgers),
    ...unpricedExcesses(before, wanted, ledgers, at),
    ...moneyExcesses(wanted, ledgers, at, bar),
  ];
}

function limitExcesses(before: Demand | null, wanted: Demand, ledgers: Ledgers): Excess[] {
  const excesses: Excess[] = [];
  for (const [key, account] of Object.entries(wanted.accounts)) {
    const ledger = ledgers.get(account.provider);
    const field = `${root}.accounts.${account.provider}.limits`;
    const limits = [
      ...(ledger?.limits ?? [])
        .filter(({ quantity }) => account.limits[quantity] === undefined)
        .map((limit) => ({ ...limit, from: `${sourceOf(limit)}, checked ${limit.checkedOn}`, since: limit.checkedOn })),
      ...Object.entries(account.limits).map(([quantity, value]) => ({
        quantity,
        value,
        region: undefined,
        from: field,
        since: field,
      })),
    ];
    for (const limit of limits) {
      const { region } = limit;
      const has = amountOf(account.uses, limit.quantity, region);
      if (has <= limit.value) continue;
      const had = amountOf(before?.accounts[key]?.uses ?? {}, limit.quantity, region);
      const title = ledger?.quantities[limit.quantity]?.title ?? limit.quantity;
      const where = region === undefined ? key : `${key} in ${region}`;
      excesses.push({
        raised: has > had,
        path: `${field}.${limit.quantity}${region === undefined ? "" : `@${region}`}`,
        value: String(has),
        message: `The fleet would have ${has} of ${title} in ${where}, and the limit is ${limit.value} (${limit.from}).`,
        or: ` Or set ${field}.${limit.quantity} to ${has}, where the provider has raised it for this account.`,
        since: limit.since,
      });
    }
  }
  return excesses;
}

function unpricedExcesses(before: Demand | null, wanted: Demand, ledgers: Ledgers, at: Date): Excess[] {
  return Object.entries(wanted.accounts).flatMap(([key, account]) => {
    const had = new Map(
      linesOf(account, before?.accounts[key]?.uses ?? {}, ledgers, at).map((line) => [
        `${line.quantity}@${line.region}`,
        line.billedUnitHours,
      ]),
    );
    return linesOf(account, account.uses, ledgers, at)
      .filter(({ microUsd }) => microUsd === null)
      .map(({ quantity, region, amount, billedUnitHours }): Excess => {
        const title = ledgers.get(account.provider)?.quantities[quantity]?.title ?? quantity;
        return {
          raised: billedUnitHours > (had.get(`${quantity}@${region}`) ?? 0n),
          path: `${root}.accounts.${account.provider}.prices.${quantity}@${region}`,
          value: String(amount),
          message: `The price of ${title} in ${region} is not known, and the fleet would use ${amount} of it in ${key}, more than is free.`,
          or: ` Or choose another region or size, or add the price: ${howToAdd(account.provider, region, ledgers.get(account.provider), [quantity])}.`,
          since: "the ledger lost its price",
        };
      });
  });
}

function moneyExcesses(wanted: Demand, ledgers: Ledgers, at: Date, bar: Bar): Excess[] {
  const phase = phaseAt(wanted.phase, wanted.phases, at);
  const excesses: Excess[] = [];
  const cost = monthlyCost(wanted, ledgers, at);
  const budget = BigInt(phase.budgetMicroUsdPerMonth);
  const path = phase.name === null ? `${root}.phase` : `${root}.phases.${phase.name}.budgetUsdPerMonth`;
  const since = phase.from === null ? newestCheck(wanted, ledgers) : dateOf(phase.from);
  if (cost > budget)
    excesses.push({
      raised: cost > bar.month,
      path,
      value: dollars(cost),
      message: `The fleet would cost ${dollars(cost)} in a month of 31 days, and ${
        phase.name === null ? noPhase(wanted, phase.to) : `the phase ${phase.name} has ${dollars(budget)} a month`
      }.`,
      or:
        phase.name === null
          ? ` Or name a phase in ${root}.phase whose budgetUsdPerMonth is at least "${plain(cost)}".`
          : ` Or set ${path} to "${plain(cost)}".`,
      since,
    });
  if (phase.name !== null && phase.grantMicroUsd !== null) {
    const whole = phaseCost(wanted, ledgers, phase.name, phase.from ?? at);
    const grant = BigInt(phase.grantMicroUsd);
    if (whole > grant)
      excesses.push({
        raised: whole > bar.phase,
        path: `${root}.phases.${phase.name}.grantUsd`,
        value: dollars(whole),
        message: `The fleet would cost ${dollars(whole)} until the phase ${phase.name} ends${
          phase.to === null ? ", over 60 months" : ` on ${dateOf(phase.to)}`
        }, and its grant is ${dollars(grant)}.`,
        or: ` Or set ${root}.phases.${phase.name}.grantUsd to "${plain(whole)}".`,
        since,
      });
  }
  return excesses;
}

/** Returns what a demand costs all through the phase that holds at `from`, over at most 60 months. */
function phaseCost(demand: Demand, ledgers: Ledgers, phase: string | null, from: Date): bigint {
  return forecast(demand, ledgers, from).reduce(
    (sum, month) => sum + (month.phase === phase ? month.microUsd : 0n),
    0n,
  );
}

/**
 * Returns what was accepted, under the terms that hold now: only what is used is compared, so that a changed price, phase
 * or allowance never looks like a changed use.
 */
function underTermsOf(before: Demand, wanted: Demand): Demand {
  const accounts = Object.entries(before.accounts).map(([key, account]): [string, AccountDemand] => {
    const { opened, free, limits } = wanted.accounts[key] ?? account;
    return [key, { ...account, opened, free, limits }];
  });
  return { ...before, phase: wanted.phase, phases: wanted.phases, accounts: Object.fromEntries(accounts) };
}

function noPhase(wanted: Demand, begins: Date | null): string {
  if (wanted.phase === null) return "no phase gives it a budget";
  return begins === null ? "its last phase is over" : `its next phase begins on ${dateOf(begins)}`;
}

/** Returns what has to be acknowledged before more is used of an account than was accepted. */
function unreadOf(before: Demand | null, wanted: Demand): { readonly name: string; readonly says: string }[] {
  const unread = new Map<string, string>();
  for (const [key, account] of Object.entries(wanted.accounts)) {
    const had = before?.accounts[key]?.uses ?? {};
    // What is only powered off is not more.
    const more = Object.keys(account.uses).some((name) => {
      const use = name.replace(/ off$/, "");
      return (account.uses[use] ?? 0) > (had[use] ?? 0) || totalOf(account.uses, use) > totalOf(had, use);
    });
    if (more) for (const [name, says] of Object.entries(account.unread)) unread.set(name, says);
  }
  return [...unread].map(([name, says]) => ({ name, says })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function linesOf(account: AccountDemand, uses: Uses, ledgers: Ledgers, at: Date): CostLine[] {
  const ledger = ledgers.get(account.provider);
  const month = { hours: longestMonthHours, monthHours: longestMonthHours };
  return ledger === undefined ? [] : costLines(uses, account, ledger, month, at);
}

function amountOf(uses: Uses, quantity: string, region: string | undefined): number {
  let sum = 0;
  for (const [key, amount] of Object.entries(uses)) {
    const [name, where = ""] = key.split("@");
    if (name === quantity && (region === undefined || where.replace(/ off$/, "") === region)) sum += amount;
  }
  return sum;
}

/**
 * Returns counts at or below those wanted that are accepted: what was accepted before is kept where it can be, and the
 * rest is filled up group by group, by name. No count at all is always accepted.
 */
function fitOf(before: Demand | null, wanted: Demand, ledgers: Ledgers, at: Date): Fit {
  const names = Object.keys(wanted.groups).toSorted();
  const had = before === null ? null : mayExist(before);
  const accepted = (fit: Fit): boolean => {
    const named = withoutUnused(wanted, fit);
    const bar = barOf(had, named, ledgers, at);
    return !excessesOf(had, withLeftover(before, named, fit), ledgers, at, bar).some(({ raised }) => raised);
  };
  const none = Object.fromEntries(names.map((name) => [name, 0]));
  const kept = Object.fromEntries(
    names.map((name) => [name, Math.min(before?.groups[name]?.count ?? 0, wanted.groups[name]?.count ?? 0)]),
  );
  const start = [
    { counts: kept, host: wanted.host !== null },
    { counts: none, host: wanted.host !== null },
  ].find(accepted);
  let fit: Fit = start ?? { counts: none, host: false };
  for (const name of names) {
    let low = fit.counts[name] ?? 0;
    let high = wanted.groups[name]?.count ?? 0;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (accepted({ ...fit, counts: { ...fit.counts, [name]: middle } })) low = middle;
      else high = middle - 1;
    }
    fit = { ...fit, counts: { ...fit.counts, [name]: low } };
  }
  return fit;
}

/** Returns the most that the demand can be with these counts: each node counts as the largest of its group. */
export function reduced(demand: Demand, fit: Fit): Demand {
  return withParts(demand, partsOf(demand, fit));
}

function fitSentence(wanted: Demand, { counts, host }: Fit): string {
  const changes = Object.entries(counts)
    .filter(([name, count]) => count !== wanted.groups[name]?.count)
    .map(([name, count]) => `${root}.groups.${name}.count to ${count}`);
  const set = changes.length === 0 ? "" : `Set ${changes.join(", ")}`;
  const without = host || wanted.host === null ? "" : `${set === "" ? "Remove" : " and remove"} ${root}.collector`;
  return `${set}${without}.`;
}

/** Returns a sentence on what is over and passes: what, since when, and what the fleet costs a day. */
function keptSentence({ message, since }: Excess, wanted: Demand, ledgers: Ledgers, at: Date): string {
  const perDay = (monthlyCost(wanted, ledgers, at) * 24n) / BigInt(longestMonthHours);
  const lead = /^\d/.test(since) ? `since ${since}` : `since ${since} changed`;
  return `${message} It is over ${lead}; this change does not raise it, so it passes. The fleet costs ${dollars(perDay)} a day.`;
}

function newestCheck(wanted: Demand, ledgers: Ledgers): string {
  const dates = Object.values(wanted.accounts).flatMap(
    ({ provider }) => ledgers.get(provider)?.prices.map(({ checkedOn }) => checkedOn) ?? [],
  );
  return dates.toSorted().at(-1) ?? "the ledger";
}

/**
 * Returns a sentence for each limit that neither what was accepted nor what is wanted is over, and both together are: the
 * engine makes what is new before it removes what is to go.
 */
function crowdedWarnings(before: Demand | null, wanted: Demand, ledgers: Ledgers): string[] {
  const held = heldAfter(before, wanted);
  if (before === null || held === undefined) return [];
  const over = (demand: Demand): Excess[] => limitExcesses(null, demand, ledgers);
  const anyway = new Set([...over(mayExist(before)), ...over(wanted)].map(({ path }) => path));
  return over(mayExist({ ...wanted, held }))
    .filter(({ path }) => !anyway.has(path))
    .map(({ message }) => `${message} So it would be until what is to go is gone. ${makeRoomFirst}`);
}

/** Returns a sentence for each region where prices of another one stand in for those that are not known. */
function standInWarnings(wanted: Demand, ledgers: Ledgers, at: Date): string[] {
  return Object.values(wanted.accounts).flatMap((account) => {
    const ledger = ledgers.get(account.provider);
    const byPlace = new Map<string, { region: string; readIn: string; quantities: string[] }>();
    for (const { quantity, region, price, billedUnitHours } of linesOf(account, account.uses, ledgers, at)) {
      const readIn = price?.readIn;
      if (readIn === undefined || readIn === region || billedUnitHours === 0n) continue;
      const place = byPlace.get(`${region} ${readIn}`) ?? { region, readIn, quantities: [] };
      byPlace.set(`${region} ${readIn}`, place);
      place.quantities.push(quantity);
    }
    return [...byPlace.values()].map(({ region, readIn, quantities }) => {
      const titles = quantities.map((quantity) => ledger?.quantities[quantity]?.title ?? quantity).join(", ");
      return `The ledger of ${account.provider} has no prices of ${region} for ${titles}: those of ${readIn} stand in, and the bill may differ. To add it: ${howToAdd(account.provider, region, ledger, quantities)}.`;
    });
  });
}

/** Returns a sentence for each ledger with entries that the bill rests on and that were not read from the provider. */
function quotedWarnings(wanted: Demand, ledgers: Ledgers, at: Date): string[] {
  const quoted = new Map<string, Map<string, Set<string>>>();
  for (const account of Object.values(wanted.accounts)) {
    const { provider } = account;
    const add = (quoter: string | undefined, what: string): void => {
      if (quoter === undefined) return;
      const byQuoter = quoted.get(provider) ?? new Map<string, Set<string>>();
      quoted.set(provider, byQuoter.set(quoter, (byQuoter.get(quoter) ?? new Set()).add(what)));
    };
    for (const { quantity, region, price, allowance, billedUnitHours } of linesOf(account, account.uses, ledgers, at)) {
      const title = ledgers.get(provider)?.quantities[quantity]?.title ?? quantity;
      if (billedUnitHours > 0n)
        add(price?.quotedBy, `the price of ${title}${price?.region === undefined ? "" : ` in ${region}`}`);
      if (account.free[quantity] === undefined) add(allowance?.quotedBy, `what is free of ${title}`);
    }
  }
  return [...quoted].map(([provider, byQuoter]) => {
    const parts = [...byQuoter].map(([quoter, whats]) => `${[...whats].join(", ")} (${quoter})`);
    return `These entries of the ledger of ${provider} come from others who quote the provider, not from its own pages: ${parts.join("; ")}. Compare them with those pages or your account before you rely on them.`;
  });
}

/** Returns how prices come into a ledger: by the command where the provider's price list has them, else by hand. */
function howToAdd(provider: string, region: string, ledger: Ledger | undefined, quantities: readonly string[]): string {
  const listed = quantities.every((quantity) =>
    ledger?.prices.some((price) => price.quantity === quantity && price.key !== undefined),
  );
  return listed
    ? `run npm run prices:refresh -- --provider ${provider} --region ${region} --write`
    : `write it with source and day into infra/providers/${provider}/ledger.json`;
}

/** Returns which entries that the fleet's limits and costs rest on are older than the config wants them. */
function ageWarnings(wanted: Demand, ledgers: Ledgers, at: Date): string[] {
  const providers = [...new Set(Object.values(wanted.accounts).map(({ provider }) => provider))].toSorted();
  return providers.flatMap((provider) => {
    const ledger = ledgers.get(provider);
    const accounts = Object.values(wanted.accounts).filter((account) => account.provider === provider);
    const used = accounts.flatMap(({ uses }) => Object.keys(uses).map((use) => use.replace(/ off$/, "")));
    const quantities = new Set(used.map((use) => use.split("@")[0]));
    const prices = used.flatMap((use) => {
      const [quantity = "", region = ""] = use.split("@");
      return ledger === undefined ? [] : (priceOf(ledger, quantity, region) ?? []);
    });
    const rules = ledger === undefined ? [] : [...ledger.limits, ...ledger.free];
    const entries = [...rules.filter(({ quantity }) => quantities.has(quantity)), ...new Set(prices)];
    const old = entries.filter(({ checkedOn }) => daysBetween(new Date(checkedOn), at) > wanted.ledgerAgeDays);
    const [oldest] = old.map(({ checkedOn }) => checkedOn).toSorted();
    if (oldest === undefined) return [];
    const count = old.length === 1 ? "1 entry" : `${old.length} entries`;
    return [
      `This rests on ${count} of the ledger of ${provider} older than ${wanted.ledgerAgeDays} days, the oldest of ${oldest}: run npm run prices:refresh, and look up by hand what it does not know, in infra/providers/${provider}/ledger.json.`,
    ];
  });
}

/** Returns what to do where the phase or a free period ends within 30 days: the counts that fit what follows. */
function endWarnings(wanted: Demand, ledgers: Ledgers, at: Date): string[] {
  const ends: { readonly what: string; readonly end: Date }[] = [];
  const phase = phaseAt(wanted.phase, wanted.phases, at);
  if (phase.name !== null && phase.to !== null) ends.push({ what: `The phase ${phase.name}`, end: phase.to });
  for (const [key, account] of Object.entries(wanted.accounts)) {
    const used = new Set(Object.keys(account.uses).map((use) => use.split("@")[0]));
    const days = (ledgers.get(account.provider)?.free ?? []).flatMap((allowance) => {
      const until = used.has(allowance.quantity) ? freeUntil(allowance, account) : null;
      return until === null ? [] : [until.getTime()];
    });
    for (const end of new Set(days)) ends.push({ what: `The free period of ${key}`, end: new Date(end) });
  }
  return ends
    .filter(({ end }) => end > at && daysBetween(at, end) < noticeDays)
    .map(({ what, end }) => {
      const ending = `${what} ends on ${dateOf(end)}.`;
      if (moneyExcesses(wanted, ledgers, end, nothingAccepted).length === 0)
        return `${ending} The counts fit what follows.`;
      const { counts, host } = fitOf(null, wanted, ledgers, end);
      const patch = Object.entries(counts)
        .filter(([name, count]) => count !== wanted.groups[name]?.count)
        .map(([name, count]) => `npx pulumi config set --path '${root}.groups.${name}.count' ${count}`);
      if (!host && wanted.host !== null) patch.push(`npx pulumi config rm --path '${root}.collector'`);
      return `${ending} These counts fit what follows:\n${patch.map((line) => `  ${line}`).join("\n")}`;
    });
}

/** Returns micro-dollars as the decimal that a config holds. */
function plain(microUsd: bigint): string {
  return `${microUsd / 1_000_000n}.${String(microUsd % 1_000_000n).padStart(6, "0")}`.replace(/\.?0+$/, "");
}
