import type { Ledgers } from "./budget.ts";
import type { ProviderFacts } from "./providers/provider.ts";

/** Returns the ledgers of these providers by name. */
export function ledgersOf(providers: ReadonlyMap<string, ProviderFacts>): Ledgers {
  return new Map([...providers].map(([name, { ledger }]) => [name, ledger]));
}
