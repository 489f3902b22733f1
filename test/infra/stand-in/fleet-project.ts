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
  /** Brings the stack up as the engine's own command does, and returns how that ended. */
  bareUp(): ReturnType<Project["pulumi"]>;
  /** Brings the stack up as `npm run up` does, in a time that passes at once; `waited` is in seconds. */
  lookForRoom(forMs?: number): Promise<PulumiRun & { readonly waited: number }>;
}

const common = { workload: "sentry", network: null };

/** Groups of machines on each cloud, but for how many. */
export const google = { ...common, provider: "gcp", region: "us-central1", size: "e2-micro" };
export const azure = { ...common, provider: "azure", region: "eastus", size: "b2ats" };
export const oracle = { ...common, provider: "oci", region: "us-phoenix-1", size: "a1-1-6" };

/** An account at each cloud. */
export const accounts = {
  oci: { id: "ocid1.tenancy.oc1..aaaa" },
  gcp: { id: "012345-6789AB-CDEF01", options: { project: "my-fleet-123456" } },
  azure: { id: "00000000-0000-0000-0000-000000000001" },
};

/** Returns the config of a fleet of these groups with all that their clouds ask for; `more` stands over it. */
export const fleetOf = (
  groups: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> => ({
  schema: 1,
  groups,
  accounts,
  access: {
    sshFrom: ["203.0.113.4/32"],
    keys: { operator: ["ssh-ed25519 AAAAoperator"], collector: ["ssh-ed25519 AAAAcollector"] },
  },
  acknowledge: { oci: true, gcp: true, azure: true },
  phase: "try",
  phases: { try: { budgetUsdPerMonth: 500 } },
  ...more,
});

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
    bareUp: () => project.pulumi(["up", "--yes", "--skip-preview"]),
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
