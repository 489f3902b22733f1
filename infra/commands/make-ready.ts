import { join } from "node:path";
import { parseConfig } from "../config.ts";
import { checkout, type Home } from "../engine/environment.ts";
import { stackConfig } from "../engine/stack.ts";
import { planFleet } from "../plan.ts";
import { BadInput } from "../problem.ts";
import type { NodeSpec, ProviderPreparation } from "../providers/provider.ts";
import { findProviders } from "../providers/registry.ts";
import type { Progress } from "./progress.ts";
import { surroundingsOf } from "./surroundings.ts";

/** Returns what providers make ready before they make nodes; few have something. */
export function preparations(env: NodeJS.ProcessEnv): readonly ProviderPreparation[] {
  const { facts, preparation } = findProviders(join(checkout, "infra"), env.GRADIENTLAB_EXTRA);
  return [...facts.keys()].flatMap((name) => preparation(name) ?? []);
}

/**
 * Makes ready what the stack's nodes need and what takes long, each as a step of its own, so that it is seen; nothing
 * where they need nothing. Throws what the preparation throws where this machine lacks something.
 */
export async function makeReady(place: Home, stack: string, progress: Progress): Promise<void> {
  const machines = await plannedMachines(place, stack);
  for (const preparation of preparations(place.env)) {
    const specs = machines.flatMap(({ provider, spec }) => (provider === preparation.provider ? [spec] : []));
    if (preparation.needed(specs))
      await progress.step(preparation.name, async (say) => say(await preparation.prepare(say)));
  }
}

/**
 * Returns the nodes, and the collector's own machine. A config with mistakes has none here: the engine's own run tells of
 * them, all together.
 */
async function plannedMachines(
  place: Home,
  stack: string,
): Promise<readonly { readonly provider: string; readonly spec: NodeSpec }[]> {
  const surroundings = surroundingsOf(place.env);
  try {
    const plan = planFleet(parseConfig(await stackConfig(place, stack), surroundings), surroundings);
    const nodes = plan.groups.flatMap(({ provider, nodes }) => nodes.map(({ spec }) => ({ provider, spec })));
    return plan.collector === null ? nodes : [...nodes, plan.collector];
  } catch (error) {
    if (error instanceof BadInput) return [];
    throw error;
  }
}
