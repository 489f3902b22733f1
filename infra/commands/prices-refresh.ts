import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { dateOf } from "../calendar.ts";
import { checkout } from "../engine/environment.ts";
import { parseLedger } from "../ledger.ts";
import { type Asking, askerOf } from "../price-answer.ts";
import { ledgerText, lookupsOf, type RefreshedPrice, refreshedPrices, withRefreshed } from "../price-refresh.ts";
import { BadInput, type Problem } from "../problem.ts";
import type { ProviderFacts } from "../providers/provider.ts";
import { findProviders } from "../providers/registry.ts";
import { alignedRows } from "../report.ts";
import { chooseOf } from "../suggestion.ts";

export const usage = `npm run prices:refresh [-- --provider <name>] [--region <name>] [--write]

Compares the prices in the ledgers with the providers' public price lists, which need no account, and shows what differs
for review: nothing is written without --write. A price that changed to more than twice or less than half, or is in
another unit or currency, is refused. Exits with 1 where a price could not be looked up, and writes nothing then.
  --provider <name>  this provider only
  --region <name>    look up what the provider's ledger has for single regions in this one too; needs --provider
  --write            write value, source and day into infra/providers/<name>/ledger.json
`;

/** What the command reaches the world by. `ledgers` is the folder with a folder for each provider. */
export interface Around extends Asking {
  readonly ledgers: string;
  write(text: string): void;
}

const real: Around = {
  fetch: (...request) => globalThis.fetch(...request),
  sleep: (ms) => sleep(ms),
  now: () => new Date(),
  ledgers: join(checkout, "infra", "providers"),
  write: (text) => process.stdout.write(text),
};

/** A ledger's file, and what becomes of it. */
interface Refreshed {
  readonly file: string;
  readonly text: string;
  readonly prices: readonly RefreshedPrice[];
}

/**
 * Shows what differs, and writes it where it is told to. Returns 0. Throws `BadInput` for an unknown provider or region, or
 * naming every price that could not be looked up, and `no-price-list` where a list does not answer; no ledger is written then.
 */
export async function main(args: readonly string[], around: Around = real): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { provider: { type: "string" }, region: { type: "string" }, write: { type: "boolean", default: false } },
  });
  const providers = findProviders(join(checkout, "infra"), undefined);
  const listed = [...providers.facts.values()].filter(({ name }) => providers.priceList(name) !== undefined);
  const wanted = chosen(listed, values.provider, values.region);
  const ask = askerOf(around);
  const on = dateOf(around.now());
  const refreshed: Refreshed[] = [];
  const problems: Problem[] = [];
  for (const { name, regions } of wanted) {
    const list = providers.priceList(name);
    if (list === undefined) continue;
    if (list.kind === "closed") {
      around.write(`${name}: ${list.says}\n`);
      continue;
    }
    const file = join(around.ledgers, name, "ledger.json");
    const path = `infra/providers/${name}/ledger.json`;
    const text = await readFile(file, "utf8");
    const ledger = parseLedger(JSON.parse(text), path);
    const lookups = lookupsOf(ledger, values.region);
    const found = refreshedPrices(lookups, await list.quotes(lookups, ask), { ...list, path, regions, on });
    problems.push(...found.problems);
    const byHand = ledger.prices.filter(({ key }) => key === undefined).length;
    around.write(diffText(name, found.prices, values.region === undefined ? byHand : 0));
    refreshed.push({ file, text: ledgerText(text, withRefreshed(ledger.prices, found.prices)), prices: found.prices });
  }
  if (problems.length > 0) throw new BadInput("The price list", problems);
  if (!values.write) {
    if (refreshed.some(({ prices }) => prices.length > 0))
      around.write("Nothing is written. Add --write to take it over.\n");
    return 0;
  }
  for (const { file, text } of refreshed) {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  }
  around.write("Written. Look at the change, run npm test -- test/infra, and commit it.\n");
  return 0;
}

/** Returns the providers to look up. Throws `BadInput` for a name or a region that there is not. */
function chosen(
  listed: readonly ProviderFacts[],
  provider: string | undefined,
  region: string | undefined,
): readonly ProviderFacts[] {
  const refuse = (path: string, value: string | undefined, message: string, fix: string): never => {
    throw new BadInput("The command", [{ path, value, message, fix }]);
  };
  if (provider === undefined) {
    if (region === undefined) return listed;
    return refuse("--region", region, "--region is given without --provider.", "Say of which provider it is a region.");
  }
  const facts = listed.find(({ name }) => name === provider);
  if (facts === undefined) {
    const names = listed.map(({ name }) => name);
    return refuse("--provider", provider, `--provider is "${provider}".`, chooseOf("provider", provider, names));
  }
  if (region !== undefined && facts.regions !== "any" && !facts.regions.includes(region)) {
    const fix = chooseOf("region", region, facts.regions);
    return refuse("--region", region, `--region is "${region}", which is not a region of ${provider}.`, fix);
  }
  return [facts];
}

/** Returns what a person reviews: each price that is new or another, old and new, and how many are as they were. */
function diffText(provider: string, prices: readonly RefreshedPrice[], byHand: number): string {
  const changed = prices.filter(({ before, after }) => before?.value !== after.value);
  const rows = changed.map(({ before, after, product }) => [
    `  ${after.quantity}${after.region === undefined ? "" : `@${after.region}`}`,
    `${before?.value ?? "none"} → ${after.value}`,
    `per ${after.unit}`,
    product,
    before === null ? "new" : `was checked ${before.checkedOn}`,
  ]);
  const same = prices.length - changed.length;
  const hand = byHand === 0 ? "" : `, ${byHand} without a key to look up by hand`;
  return `${provider}: ${changed.length} changed, ${same} as they were${hand}\n${alignedRows(rows, [])
    .map((line) => `${line}\n`)
    .join("")}`;
}
