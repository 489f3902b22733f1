import type { Demand, Ledgers } from "./budget.ts";
import type { FleetConfig } from "./config.ts";
import { freeUntil } from "./cost.ts";
import { networkTerms } from "./network-terms.ts";
import type { FleetPlan, PlannedNode, Surroundings } from "./plan.ts";
import type { ProviderFacts, Usage } from "./providers/provider.ts";

type Amounts = Record<string, number>;

/** Returns what a planned fleet demands of the accounts; null where it uses nothing that any ledger counts. */
export function demandOf(
  config: FleetConfig,
  plan: Pick<FleetPlan, "groups" | "collector" | "sites">,
  around: Pick<Surroundings, "providers">,
): Demand | null {
  const accounts: Demand["accounts"] = {};
  const accountOf = (provider: string): { readonly key: string; readonly account: Demand["accounts"][string] } => {
    const { id = "", opened = null, free = {}, limits = {} } = config.accounts[provider] ?? {};
    const key = id === "" ? provider : `${provider}/${id}`;
    const account = accounts[key] ?? {
      provider,
      opened,
      free: { ...free },
      limits: { ...limits },
      uses: {},
      sites: {},
      unread: {},
    };
    accounts[key] = account;
    for (const { name, says, read } of around.providers.get(provider)?.terms ?? [])
      if (config.acknowledge[name] === undefined) account.unread[name] = `${says} Read ${read}.`;
    return { key, account };
  };

  const groups: Demand["groups"] = {};
  for (const group of plan.groups) {
    const facts = around.providers.get(group.provider);
    const [first] = group.nodes;
    if (facts === undefined || first === undefined) continue;
    const uses: Amounts = {};
    const each: Amounts = {};
    for (const [kind, nodes] of kindsOf(group.nodes)) {
      const one = amountsOf(facts.usage(kind.spec), kind.spec.region);
      for (const [use, amount] of Object.entries(one)) {
        uses[use] = (uses[use] ?? 0) + amount * nodes;
        each[use] = Math.max(each[use] ?? 0, amount);
      }
    }
    if (Object.keys(uses).length === 0) continue;
    const { key, account } = accountOf(group.provider);
    addTo(account.uses, uses);
    const terms = group.network === null ? undefined : networkTerms[group.network];
    if (terms !== undefined && config.acknowledge[terms.name] === undefined)
      account.unread[terms.name] = `${terms.says} Read ${terms.read}.`;
    groups[group.name] = { account: key, region: first.spec.region, count: group.nodes.length, uses, each };
  }

  let host: Demand["host"] = null;
  if (plan.collector !== null) {
    const { provider, spec } = plan.collector;
    const uses = amountsOf(factsOf(around, provider).usage(spec), spec.region);
    const { key, account } = accountOf(provider);
    addTo(account.uses, uses);
    host = { account: key, region: spec.region, uses };
  }

  for (const site of plan.sites) {
    const uses = amountsOf(factsOf(around, site.provider).usage(site), site.region);
    if (Object.keys(uses).length === 0) continue;
    const { account } = accountOf(site.provider);
    addTo(account.uses, uses);
    account.sites[site.region] = uses;
  }

  if (Object.keys(accounts).length === 0) return null;
  const phases = Object.fromEntries(Object.entries(config.phases).map(([name, phase]) => [name, { ...phase }]));
  return { phase: config.phase, phases, ledgerAgeDays: config.ledgerAgeDays, accounts, groups, host };
}

/** Returns when each account's free period ends, by account and instant; none where no allowance of the account ends. */
export function freeEnds(demand: Demand | null, ledgers: Ledgers): { readonly account: string; readonly at: string }[] {
  return Object.entries(demand?.accounts ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, account]) => {
      const ends = (ledgers.get(account.provider)?.free ?? []).flatMap((allowance) => {
        const until = freeUntil(allowance, account);
        return until === null ? [] : [until.toISOString()];
      });
      return [...new Set(ends)].toSorted().map((at) => ({ account: key, at }));
    });
}

/** Returns one node of each kind, nodes alike in all that decides what they use, and how many there are. */
function kindsOf(nodes: readonly PlannedNode[]): readonly (readonly [PlannedNode, number])[] {
  const kinds = new Map<string, [PlannedNode, number]>();
  for (const node of nodes) {
    const { shape, power } = node.spec;
    const kind = kinds.get(`${shape} ${power}`);
    if (kind === undefined) kinds.set(`${shape} ${power}`, [node, 1]);
    else kind[1]++;
  }
  return [...kinds.values()];
}

function amountsOf(usage: readonly Usage[], region: string): Amounts {
  const amounts: Amounts = {};
  for (const { quantity, amount, off } of usage) {
    const use = `${quantity}@${region}${off === true ? " off" : ""}`;
    if (amount > 0) amounts[use] = (amounts[use] ?? 0) + amount;
  }
  return amounts;
}

function addTo(sum: Amounts, amounts: Amounts): void {
  for (const [use, amount] of Object.entries(amounts)) sum[use] = (sum[use] ?? 0) + amount;
}

function factsOf({ providers }: Pick<Surroundings, "providers">, name: string): ProviderFacts {
  const facts = providers.get(name);
  if (facts === undefined) throw new Error(`The plan names the provider ${name}, which was not found.`);
  return facts;
}
