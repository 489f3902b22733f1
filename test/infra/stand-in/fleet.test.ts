import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { placementsOf } from "../../../infra/placement.ts";
import { placeStandIns } from "../../../infra/stand-in/plugins.ts";
import type { Kept } from "../../../infra/stand-in/world.ts";
import { known } from "../known.ts";
import { azure, type FleetProject, fleetOf, google, makeFleetProject, oracle } from "./fleet-project.ts";

let project: FleetProject;
let loaded: string;

/** Notes which packages a program loads. */
const noteLoads = `process.on("exit", () => {
  const names = Object.keys(require.cache).flatMap((file) => /node_modules[/]@pulumi[/]([a-z-]+)[/]/.exec(file)?.[1] ?? []);
  if (names.includes("pulumi")) require("node:fs").appendFileSync(process.env.LOADED, [...new Set(names)].sort().join(" ") + "\\n");
});`;

beforeAll(async () => {
  project = await makeFleetProject();
  loaded = join(project.folder, "loaded");
  writeFileSync(join(project.folder, "note-loads.cjs"), noteLoads);
  project.place.env.LOADED = loaded;
  project.place.env.NODE_OPTIONS = `--require=${join(project.folder, "note-loads.cjs")}`;
}, 600_000);
afterAll(() => project.remove());

const held = (cloud: string, type: string): readonly Kept[] => project.inWorld((world) => world.all(cloud, type));
const machines = (): readonly Kept[] => held("gcp", "gcp:compute/instance:Instance");
const azureMachines = (): readonly Kept[] => held("azure-native", "azure-native:compute:VirtualMachine");

/** Writes a fleet of these groups into the config, with the placements that it has. */
const configure = (groups: Record<string, unknown>): void =>
  project.configureFleet(project.withPlacements(fleetOf(groups)));

// Each goes through half a dozen runs of the engine.
describe("a fleet on stand-in clouds, through the real engine", { timeout: 1_200_000 }, () => {
  it("finds the third domain, which alone has room, remembers it, and loads nothing but its own cloud", async () => {
    const zones = known.providers.get("gcp")?.domains("us-central1") ?? [];
    const from = zones.indexOf(placementsOf("far", zones, ["e2-micro"])(0)?.domain ?? "");
    const [first, second, third = ""] = [0, 1, 2].map((step) => zones[(from + step) % zones.length]);
    for (const folder of otherPlugins("resource-gcp-")) rmSync(folder, { recursive: true });
    rmSync(loaded, { force: true });
    configure({ far: { ...google, count: 1 } });
    await project.scenario({
      capacity: [
        { cloud: "gcp", domain: third, holds: 9 },
        { cloud: "gcp", holds: 0 },
      ],
    });
    const bare = await project.bareUp();
    expect(bare.code).not.toBe(0);
    expect(bare.output).toContain("does not have enough resources available to fulfill the request.");
    expect(bare.output).toMatch(/far\/0 found no room where it was to go\. Run npm run up/);

    const { code, waited } = await project.lookForRoom();
    expect(code).toBe(0);
    expect(waited).toBeGreaterThanOrEqual(60 + 90);
    expect(machines().map(({ place }) => place)).toEqual([`${third} e2-micro`]);
    expect(readFileSync(join(project.folder, "Pulumi.dev.yaml"), "utf8")).toContain(`domain: ${third}`);
    const attempts = readFileSync(join(project.place.home, "attempts.jsonl"), "utf8").trim().split("\n");
    expect(attempts.map((line) => JSON.parse(line)).map(({ domain, outcome }) => `${domain} ${outcome}`)).toEqual([
      `${first} no room`,
      `${second} no room`,
      `${third} made`,
    ]);

    await project.scenario({});
    expect(await project.up()).toEqual([]);
    await placeStandIns(project.place);
    expect(new Set(readFileSync(loaded, "utf8").trim().split("\n"))).toEqual(new Set(["gcp pulumi"]));
  });

  it("stops looking when its time is over, and at what an account may have, and says what to do", async () => {
    configure({ far: { ...google, count: 1 }, new: { ...azure, count: 1 } });
    await project.scenario({ capacity: [{ cloud: "azure-native", holds: 0 }] });
    await expect(project.lookForRoom(60_000)).rejects.toMatchObject({
      code: "no-capacity",
      message: expect.stringContaining("no room for new/0 in 2 tries over 1m"),
      fix: expect.stringContaining("Run npm run up again later"),
    });
    await project.scenario({ quotas: { "azure-native": { "Total Regional Cores": 0 } } });
    await expect(project.lookForRoom()).rejects.toMatchObject({
      code: "limit-exceeded",
      message: expect.stringContaining("exceeding approved Total Regional Cores quota"),
      fix: expect.stringContaining("Lower the count"),
    });
    expect(machines()).toHaveLength(1);
  });

  it("makes sound what a provider keeps as failed, though a refresh finds nothing wrong with it", async () => {
    configure({ far: { ...google, count: 1 }, next: { ...azure, count: 1 } });
    await project.scenario({
      capacity: [{ cloud: "azure-native", shape: "*", holds: 9, comesAfterTries: 2, later: true }],
    });
    const first = await project.bareUp();
    expect(first.code).not.toBe(0);
    expect(first.output).toContain("AllocationFailed");
    const [failed] = azureMachines();
    expect(failed?.outputs.provisioningState).toBe("Failed");

    expect((await project.pulumi(["refresh", "--yes", "--skip-preview"])).code).toBe(0);
    const bare = await project.bareUp();
    expect(bare.code).toBe(0);
    expect(bare.output).toMatch(/next\/0 failed at Azure, which keeps it as it is\. npm run up has Azure try again/);

    // The second try of the same machine finds none either, and the search takes the next zone.
    const { code } = await project.lookForRoom();
    expect(code).toBe(0);
    expect(azureMachines().map(({ outputs }) => outputs.provisioningState)).toEqual(["Succeeded"]);
    expect(azureMachines()[0]?.place).not.toBe(failed?.place);
  });

  it("powers a slot off and on, in place", async () => {
    configure({ far: { ...google, count: 1 }, near: { ...oracle, count: 1 } });
    await project.scenario({});
    await project.up();
    const both = (): readonly unknown[] =>
      [...machines(), ...held("oci", "oci:Core/instance:Instance")].map(({ id, outputs }) => [
        id,
        outputs.currentStatus ?? outputs.state,
      ]);
    const [[far], [near]] = both() as [[string], [string]];
    for (const [stopped, states] of [
      [[0], ["TERMINATED", "STOPPED"]],
      [[], ["RUNNING", "RUNNING"]],
    ] as const) {
      configure({ far: { ...google, count: 1, stopped }, near: { ...oracle, count: 1, stopped } });
      const changes = await project.up();
      expect(changes.filter(({ type }) => type === "Instance").map(({ op }) => op)).toEqual(["update", "update"]);
      expect(both()).toEqual([
        [far, states[0]],
        [near, states[1]],
      ]);
    }
  });

  it("goes on at the second up after failures in the middle of one, on three clouds", async () => {
    const groups = { far: { ...google, count: 3 }, mid: { ...azure, count: 1 }, near: { ...oracle, count: 2 } };
    configure(groups);
    await project.scenario({
      failures: [
        { cloud: "gcp", on: "create", type: "*Instance", case: "quota", times: 1 },
        { cloud: "azure-native", on: "create", type: "*PublicIPAddress", case: "rate", times: 2, retryAfterSeconds: 6 },
        { cloud: "azure-native", on: "create", type: "*VirtualMachine", case: "capacity-later", times: 1 },
        { cloud: "oci", on: "create", type: "*Instance", case: "timeout", times: 1 },
      ],
    });
    const first = await project.pulumi(["up", "--yes", "--skip-preview", "--continue-on-error"]);
    expect(first.code).not.toBe(0);
    expect(first.output).toContain("Quota 'CPUS' exceeded.");
    expect(first.output).toMatch(/An account at gcp may have no more of what far\/\d needs: lower the count/);
    expect(first.output).toContain("AllocationFailed");
    expect(first.output).toMatch(/Oracle has accepted it and was slow: run the same command again/);
    // Azure asked twice to wait, and its plugin did.
    const asked = project.inWorld((world) => world.calls().filter(({ name }) => name === "mid/0"));
    expect(asked.filter(({ type }) => /PublicIP/.test(type)).map(({ outcome }) => outcome)).toEqual([
      "rate",
      "rate",
      "done",
    ]);
    await project.scenario({});
    await project.up();
    expect(machines()).toHaveLength(3);
    expect(azureMachines().map(({ outputs }) => outputs.provisioningState)).toEqual(["Succeeded"]);
    const keys = ["far/0", "far/1", "far/2", "mid/0", "near/0", "near/1"];
    expect((await project.inventory()).nodes.map(({ key }) => key)).toEqual(keys);
  });
});

/** Returns the folders of the clouds' plugins but one. */
function otherPlugins(kept: string): string[] {
  const folder = join(project.place.home, "pulumi-home", "plugins");
  return readdirSync(folder).flatMap((name) => (name.startsWith(kept) ? [] : [join(folder, name)]));
}
