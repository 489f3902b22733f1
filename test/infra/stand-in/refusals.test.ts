import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Kept } from "../../../infra/stand-in/world.ts";
import { accounts, azure, type FleetProject, fleetOf, google, makeFleetProject } from "./fleet-project.ts";

let project: FleetProject;

beforeAll(async () => {
  project = await makeFleetProject();
}, 600_000);
afterAll(() => project.remove());

const held = (cloud: string, type: string): readonly Kept[] => project.inWorld((world) => world.all(cloud, type));
const machines = (): readonly Kept[] => held("gcp", "gcp:compute/instance:Instance");
const azureMachines = (): readonly Kept[] => held("azure-native", "azure-native:compute:VirtualMachine");
/** Writes a fleet of these groups into the config. */
const configure = (groups: Record<string, unknown>, more: Record<string, unknown> = {}): void =>
  project.configureFleet(fleetOf(groups, more));

// Each goes through several runs of the engine.
describe("what a fleet is refused, through the real engine", { timeout: 1_200_000 }, () => {
  it("is refused in a preview, every mistake at once, before a cloud is asked for anything", async () => {
    configure(
      { far: { ...google, count: 1, options: { proxy: "socks5://192.0.2.1" } } },
      { accounts: { ...accounts, oci: ["a", "b"] }, access: { sshFrom: ["0.0.0.0/0"] } },
    );
    const mistaken = await project.pulumi(["preview"]);
    expect(mistaken.code).not.toBe(0);
    for (const path of ["accounts.oci", "access.sshFrom.0", "groups.far.options.proxy"])
      expect(mistaken.output).toContain(`gradientlab:fleet.${path}`);

    const home = {
      provider: "local",
      size: "machine",
      options: { mode: "vm" },
      workload: "sentry",
      network: "gradient",
      count: 2,
    };
    configure({ far: { ...google, count: 1 }, home });
    const sharing = await project.pulumi(["preview"]);
    expect(sharing.code).not.toBe(0);
    expect(sharing.output).toContain("2 live nodes would share one device and address");

    configure({ far: { ...google, count: 1 } }, { acknowledge: {} });
    const unread = await project.pulumi(["preview"]);
    expect(unread.code).not.toBe(0);
    expect(unread.output).toContain("gradientlab:fleet.acknowledge.gcp is missing.");
    expect(project.inWorld((world) => world.calls())).toEqual([]);
  });

  it("passes every count that is no higher than what a half-failed up was allowed, whatever the limit is now", async () => {
    const groups = (count: number) => ({ far: { ...google, count } });
    const limited = { accounts: { ...accounts, gcp: { ...accounts.gcp, limits: { "e2-micro": 1 } } } };
    configure(groups(5));
    await project.scenario({ failures: [{ cloud: "gcp", on: "create", type: "*Instance", case: "quota" }] });
    expect((await project.bareUp()).code).not.toBe(0);
    await project.scenario({});
    configure(groups(5), limited);
    await project.up();
    expect(machines()).toHaveLength(5);
    for (const count of [2, 1]) {
      configure(groups(count), limited);
      await project.up();
      expect(machines()).toHaveLength(count);
    }
    configure(groups(2), limited);
    const { code, output } = await project.pulumi(["preview"]);
    expect(code).not.toBe(0);
    expect(output).toMatch(/e2-micro/);
    expect(output).toContain("gradientlab:fleet.groups.far.count");
  });

  it("shows a refusal in the provider's words with what to do, changes nothing, and scales to nothing when it is mended", async () => {
    configure({ mid: { ...azure, count: 1 } });
    await project.scenario({ failures: [{ cloud: "azure-native", on: "create", type: "*", case: "auth" }] });
    const { code, output } = await project.bareUp();
    expect(code).not.toBe(0);
    expect(output).toContain("AuthorizationFailed");
    expect(output).toMatch(/check az login and accounts\.azure/);
    expect(held("azure-native", "azure-native:resources:ResourceGroup")).toEqual([]);
    await project.scenario({});
    await project.up();
    expect(azureMachines()).toHaveLength(1);

    await project.scenario({
      failures: [{ cloud: "azure-native", on: "delete", type: "*VirtualMachine", case: "auth" }],
    });
    configure({});
    const kept = await project.bareUp();
    expect(kept.code).not.toBe(0);
    expect(kept.output).toContain("AuthorizationFailed");
    expect(azureMachines()).toHaveLength(1);
    await project.scenario({});
    await project.up();
    const left = project.inWorld((world) => ["oci", "gcp", "azure-native"].flatMap((cloud) => world.all(cloud)));
    expect(left.map(({ id }) => id)).toEqual([]);
  });
});
