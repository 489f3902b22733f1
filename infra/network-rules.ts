import { networkTerms } from "./network-terms.ts";
import type { PlannedGroup, Surroundings } from "./plan.ts";
import { type Problem, quoted } from "./problem.ts";

/** What a network's rules and its reach have to say of a plan. */
export interface NetworkFindings {
  readonly refusals: readonly Problem[];
  readonly warnings: readonly string[];
}

/**
 * Returns what speaks against the networks of these groups. A real network allows one live node for each device or
 * address: where machines share this one, more than one is refused. The service of a network of our own runs on this
 * machine, and machines elsewhere cannot reach it.
 */
export function networkFindings(groups: readonly PlannedGroup[], around: Surroundings): NetworkFindings {
  const refusals: Problem[] = [];
  const warnings: string[] = [];
  const networks = [...new Set(groups.map((group) => group.network))].toSorted();
  for (const network of networks) {
    if (network === null) continue;
    const on = groups.filter((group) => group.network === network && group.nodes.length > 0);
    const isOwn = (group: PlannedGroup): boolean => around.providers.get(group.provider)?.traits.device === "own";
    const elsewhere = on.filter(isOwn);
    if (around.services.has(network)) {
      if (elsewhere.length > 0)
        warnings.push(
          `The service of the network ${network} runs on this machine, and the machines of ${namesOf(elsewhere)} cannot reach it: their nodes run, and earn nothing. For a trial that is enough; else choose another network, or null.`,
        );
      continue;
    }
    if (elsewhere.length > 0 && networkTerms[network] !== undefined)
      warnings.push(`The nodes of ${namesOf(elsewhere)} have addresses of data centres. ${networkTerms[network].says}`);
    const sharing = on.filter((group) => !isOwn(group));
    const live = sharing.flatMap((group) => group.nodes.filter(({ spec }) => spec.power === "on"));
    if (live.length > 1)
      for (const group of sharing) {
        const path = `gradientlab:fleet.groups.${group.name}.network`;
        refusals.push({
          path,
          value: quoted(network),
          message: `${path} is ${quoted(network)}, and ${live.length} live nodes would share one device and address, where a real network allows one.`,
          fix: `Lower counts until one node of ${namesOf(sharing)} is live, or give the others another network or null.`,
        });
      }
  }
  return { refusals, warnings };
}

function namesOf(groups: readonly PlannedGroup[]): string {
  return groups.map(({ name }) => name).join(", ");
}
