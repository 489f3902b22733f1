import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { upLookingForRoom } from "../../../infra/commands/up.ts";
import { placementsOf } from "../../../infra/placement.ts";
import { placeStandIns, setScenario, worldOf } from "../../../infra/stand-in/plugins.ts";
import type { WrittenScenario } from "../../../infra/stand-in/scenario.ts";
import { type Kept, openWorld } from "../../../infra/stand-in/world.ts";
import { makeProject, type Project } from "../../harness/project.ts";
import { known } from "../known.ts";

let project: Project;
let loaded: string;

/** Notes which packages a program loads. */
const noteLoads = `process.on("exit", () => {
  const names = Object.keys(require.cache).flatMap((file) => /node_modules[/]@pulumi[/]([a-z-]+)[/]/.exec(file)?.[1] ?? []);
  if (names.includes("pulumi")) require("node:fs").appendFileSync(process.env.LOADED, [...new Set(names)].sort().join(" ") + "\\n");
});`;

beforeAll(async () => {
  project = await makeProject();
  loaded = join(project.folder, "loaded");
  writeFileSync(join(project.folder, "note-loads.cjs"), noteLoads);
  project.place.env.LOADED = loaded;
  project.place.env.NODE_OPTIONS = `--require=${join(project.folder, "note-loads.cjs")}`;
  await placeStandIns(project.place);
  await scenario({});
}, 600_000);
afterAll(() => project.remove());

const scenario = (more: Omit<WrittenScenario, "schema">): Promise<void> =>
  setScenario(project.place, { schema: 1, speed: 100_000, ...more });

function held(cloud: string, type: string): readonly Kept[] {
  const world = openWorld(worldOf(project.place));
  try {
    return world.all(cloud, type);
  } finally {
    world.close();
  }
}
const machines = (): readonly Kept[] => held("gcp", "gcp:compute/instance:Instance");

const common = { workload: "sentry", network: null };
const google = { ...common, provider: "gcp", region: "us-central1", size: "e2-micro" };
const azure = { ...common, provider: "azure", region: "eastus", size: "b2ats" };
const fleet = (groups: Record<string, unknown>) => ({
  schema: 1,
  groups,
  accounts: {
    oci: { id: "ocid1.tenancy.oc1..aaaa" },
    gcp: { id: "012345-6789AB-CDEF01", options: { project: "my-fleet-123456" } },
    azure: { id: "00000000-0000-0000-0000-000000000001" },
  },
  access: {
    sshFrom: ["203.0.113.4/32"],
    keys: { operator: ["ssh-ed25519 AAAAoperator"], collector: ["ssh-ed25519 AAAAcollector"] },
  },
  acknowledge: { oci: true, gcp: true, azure: true },
  phase: "try",
  phases: { try: { budgetUsdPerMonth: 500 } },
});

/** Brings the fleet up as `npm run up` does, in a time that passes at once. */
async function up(): Promise<{ readonly code: number; readonly output: string; readonly waited: number }> {
  let ms = Date.UTC(2026, 10, 21);
  const start = ms;
  const run = await upLookingForRoom(project.place, {
    stack: "dev",
    folder: project.folder,
    say: () => undefined,
    forMs: 6 * 3_600_000,
    now: () => ms,
    async sleep(wait) {
      ms += wait;
    },
  });
  return { ...run, waited: (ms - start) / 1000 };
}

describe("a fleet on stand-in clouds, through the real engine", () => {
  it("finds the third domain, which alone has room, remembers it, and loads nothing but its own cloud", async () => {
    const zones = known.providers.get("gcp")?.domains("us-central1") ?? [];
    const from = zones.indexOf(placementsOf("far", zones, ["e2-micro"])(0)?.domain ?? "");
    const [first, second, third = ""] = [0, 1, 2].map((step) => zones[(from + step) % zones.length]);
    for (const folder of otherPlugins("resource-gcp-")) rmSync(folder, { recursive: true });
    project.configureFleet(fleet({ far: { ...google, count: 1 } }));
    await scenario({
      capacity: [
        { cloud: "gcp", domain: third, holds: 9 },
        { cloud: "gcp", holds: 0 },
      ],
    });
    const bare = await project.pulumi(["up", "--yes", "--skip-preview"]);
    expect(bare.code).not.toBe(0);
    expect(bare.output).toContain("does not have enough resources available to fulfill the request.");
    expect(bare.output).toMatch(/far\/0 found no room where it was to go\. Run npm run up/);

    const { code, waited } = await up();
    expect(code).toBe(0);
    expect(waited).toBeGreaterThanOrEqual(60 + 90);
    expect(machines().map(({ place }) => place)).toEqual([`${third} e2-micro`]);
    const file = readFileSync(join(project.folder, "Pulumi.dev.yaml"), "utf8");
    expect(file).toContain(`domain: ${third}`);
    const attempts = readFileSync(join(project.place.home, "attempts.jsonl"), "utf8").trim().split("\n");
    expect(attempts.map((line) => JSON.parse(line)).map(({ domain, outcome }) => `${domain} ${outcome}`)).toEqual([
      `${first} no room`,
      `${second} no room`,
      `${third} made`,
    ]);

    await scenario({});
    expect(await project.up()).toEqual([]);
    expect(new Set(readFileSync(loaded, "utf8").trim().split("\n"))).toEqual(new Set(["gcp pulumi"]));
    await placeStandIns(project.place);
  });

  it("powers a slot off and on, in place", async () => {
    const [before] = machines();
    for (const [stopped, status] of [
      [[0], "TERMINATED"],
      [[], "RUNNING"],
    ] as const) {
      project.configureFleet(fleetWithPlacements(fleet({ far: { ...google, count: 1, stopped } })));
      await project.up();
      expect(machines().map(({ id, outputs }) => [id, outputs.currentStatus])).toEqual([[before?.id, status]]);
    }
  });

  it("goes on at the second up after failures in the middle of one, on two clouds", async () => {
    project.configureFleet(fleetWithPlacements(fleet({ far: { ...google, count: 3 }, mid: { ...azure, count: 1 } })));
    await scenario({
      failures: [
        { cloud: "gcp", on: "create", type: "*Instance", case: "quota", times: 1 },
        { cloud: "azure-native", on: "create", type: "*VirtualMachine", case: "capacity-later", times: 1 },
      ],
    });
    const first = await project.pulumi(["up", "--yes", "--skip-preview", "--continue-on-error"]);
    expect(first.code).not.toBe(0);
    expect(first.output).toContain("Quota 'CPUS' exceeded.");
    expect(first.output).toContain("AllocationFailed");
    await scenario({});
    await project.up();
    expect(machines()).toHaveLength(3);
    const states = held("azure-native", "azure-native:compute:VirtualMachine").map(
      ({ outputs }) => outputs.provisioningState,
    );
    expect(states).toEqual(["Succeeded"]);
    expect((await project.inventory()).nodes.map(({ key }) => key)).toEqual(["far/0", "far/1", "far/2", "mid/0"]);
  });

  it("shows a refusal in the provider's words, changes nothing, and scales to nothing when it is mended", async () => {
    await scenario({ failures: [{ cloud: "azure-native", on: "delete", type: "*VirtualMachine", case: "auth" }] });
    project.configureFleet(fleet({}));
    const { code, output } = await project.pulumi(["up", "--yes", "--skip-preview"]);
    expect(code).not.toBe(0);
    expect(output).toContain("AuthorizationFailed");
    expect(held("azure-native", "azure-native:compute:VirtualMachine")).toHaveLength(1);
    await scenario({});
    await project.up();
    const world = openWorld(worldOf(project.place));
    expect(["gcp", "azure-native"].flatMap((cloud) => world.all(cloud)).map(({ id }) => id)).toEqual([]);
    world.close();
  });
});

/** Returns a fleet with the placements that the stack's file holds. */
function fleetWithPlacements(config: Record<string, unknown>): Record<string, unknown> {
  const file = parse(readFileSync(join(project.folder, "Pulumi.dev.yaml"), "utf8")) as {
    config?: { "gradientlab:fleet"?: { placements?: unknown } };
  };
  return { ...config, placements: file.config?.["gradientlab:fleet"]?.placements };
}

/** Returns the folders of the clouds' plugins but one. */
function otherPlugins(kept: string): string[] {
  const folder = join(project.place.home, "pulumi-home", "plugins");
  return readdirSync(folder).flatMap((name) => (name.startsWith(kept) ? [] : [join(folder, name)]));
}
