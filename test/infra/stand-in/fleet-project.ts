import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { upLookingForRoom } from "../../../infra/commands/up.ts";
import type { PulumiRun } from "../../../infra/engine/stack.ts";
import { placeStandIns, setScenario, worldOf } from "../../../infra/stand-in/plugins.ts";
import type { WrittenScenario } from "../../../infra/stand-in/scenario.ts";
import { openWorld, type World } from "../../../infra/stand-in/world.ts";
import { makeProject, type Project } from "../../harness/project.ts";

/** A project whose clouds stand in, with our own program on them. */
export interface FleetProject extends Project {
  /** Makes the clouds so; what is left out is as in clouds in which nothing fails. */
  scenario(scenario: Omit<WrittenScenario, "schema">): Promise<void>;
  inWorld<Value>(read: (world: World) => Value): Value;
  /** Returns `config` with the placements that the stack's file holds. */
  withPlacements(config: Readonly<Record<string, unknown>>): Record<string, unknown>;
  /** Brings the stack up as `npm run up` does, in a time that passes at once; `waited` is in seconds. */
  lookForRoom(forMs?: number): Promise<PulumiRun & { readonly waited: number }>;
}

/** Makes a project with its stack `dev` and clouds that stand in, whose time passes at once. */
export async function makeFleetProject(): Promise<FleetProject> {
  const project = await makeProject();
  const { place, folder } = project;
  const scenario: FleetProject["scenario"] = (more) => setScenario(place, { schema: 1, speed: 100_000, ...more });
  await placeStandIns(place);
  await scenario({});
  return {
    ...project,
    scenario,
    inWorld(read) {
      const world = openWorld(worldOf(place));
      try {
        return read(world);
      } finally {
        world.close();
      }
    },
    withPlacements(config) {
      const file = parse(readFileSync(join(folder, "Pulumi.dev.yaml"), "utf8")) as {
        config?: { "gradientlab:fleet"?: { placements?: unknown } };
      };
      return { ...config, placements: file.config?.["gradientlab:fleet"]?.placements };
    },
    async lookForRoom(forMs = 6 * 3_600_000) {
      const start = Date.UTC(2026, 10, 21);
      let ms = start;
      const run = await upLookingForRoom(place, {
        stack: "dev",
        folder,
        say: () => undefined,
        forMs,
        now: () => ms,
        async sleep(wait) {
          ms += wait;
        },
      });
      return { ...run, waited: (ms - start) / 1000 };
    },
  };
}
