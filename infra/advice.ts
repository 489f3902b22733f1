import { capacityMeaning } from "./capacity.ts";
import type { ProviderFacts } from "./providers/provider.ts";

/**
 * Returns what to do where a provider refused a resource in these words, as sentences; `undefined` where the words are
 * none that its facts know. `name` is the resource's in the program.
 */
export function adviceOn(name: string, text: string, facts: ProviderFacts): string | undefined {
  const meaning = capacityMeaning(text, facts);
  if (meaning === "exhausted")
    return `${name} found no room where it was to go. Run npm run up: it writes the next place into the config and tries again, for six hours or as long as --for says.`;
  if (meaning === "limit")
    return `An account at ${facts.name} may have no more of what ${name} needs: lower the count, choose another size, or ask the provider for a higher limit. What was made stays.`;
  return facts.advice?.find(({ says }) => says.test(text))?.fix;
}
