import { capacityMeaning } from "./capacity.ts";
import type { ProviderFacts } from "./providers/provider.ts";

/** What helps where an account is full of what the config no longer has: the engine makes what is new first. */
export const makeRoomFirst =
  "Where machines that are to go still count, bring the stack up without the new ones first: set their count to 0, and raise it afterwards.";

/**
 * Returns what to do where a provider refused a resource in these words, as sentences; `undefined` where the words are
 * none that its facts know. `name` is the resource's in the program.
 */
export function adviceOn(name: string, text: string, facts: ProviderFacts): string | undefined {
  const meaning = capacityMeaning(text, facts);
  if (meaning === "exhausted")
    return `${name} found no room where it was to go. Run npm run up: it writes the next place into the config and tries again, for six hours or as long as --for says.`;
  if (meaning === "limit")
    return `An account at ${facts.name} may have no more of what ${name} needs: lower the count, choose another size, or ask the provider for a higher limit. What was made stays. ${makeRoomFirst}`;
  return facts.advice?.find(({ says }) => says.test(text))?.fix;
}
