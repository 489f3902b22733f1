import { join } from "node:path";
import { parseConfig } from "../config.ts";
import { checkout, type Home } from "../engine/environment.ts";
import { stackConfig } from "../engine/stack.ts";
import { type PlannedGroup, planFleet } from "../plan.ts";
import { BadInput } from "../problem.ts";
import type { ProviderPreparation } from "../providers/provider.ts";
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
  const groups = await plannedGroups(place, stack);
  for (const preparation of preparations(place.env)) {
    const nodes = groups.filter(({ provider }) => provider === preparation.provider).flatMap(({ nodes }) => nodes);
    if (preparation.needed(nodes.map(({ spec }) => spec)))
      await progress.step(preparation.name, async (say) => say(await preparation.prepare(say)));
  }
}

/** A config with mistakes has no groups here: the engine's own run tells of them, all together. */
async function plannedGroups(place: Home, stack: string): Promise<readonly PlannedGroup[]> {
  const surroundings = surroundingsOf(place.env);
  try {
    return planFleet(parseConfig(await stackConfig(place, stack), surroundings), surroundings).groups;
  } catch (error) {
    if (error instanceof BadInput) return [];
    throw error;
  }
}
