import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CloudProject, type Declared, makeCloudProject } from "./clouds.ts";

let project: CloudProject;

beforeAll(async () => {
  project = await makeCloudProject();
}, 600_000);
afterAll(() => project.remove());

const compartmentId = "ocid1.tenancy.oc1..aaaa";
const oracle = (machine: Record<string, unknown> = {}, options = {}): Declared[] => [
  { module: "@pulumi/oci/core/vcn", name: "vcn", args: { compartmentId, cidrBlocks: ["10.0.0.0/16"] } },
  {
    module: "@pulumi/oci/core/subnet",
    name: "subnet",
    args: { compartmentId, vcnId: "$vcn.id", cidrBlock: "10.0.0.0/24" },
  },
  {
    module: "@pulumi/oci/core/instance",
    name: "vm",
    args: {
      compartmentId,
      availabilityDomain: "Uocm:PHX-AD-1",
      shape: "VM.Standard.A1.Flex",
      shapeConfig: { ocpus: 2, memoryInGbs: 12 },
      createVnicDetails: { subnetId: "$subnet.id" },
      ...machine,
    },
    options,
  },
];
const azure: Declared[] = [
  { module: "@pulumi/azure-native/resources/resourceGroup", name: "group", args: { resourceGroupName: "fleet" } },
  {
    module: "@pulumi/azure-native/network/publicIPAddress",
    name: "ip",
    args: { resourceGroupName: "$group.name", publicIpAddressName: "ip", publicIPAllocationMethod: "Static" },
  },
];

describe("a stand-in cloud behind the real engine and the real SDK", () => {
  it("names a property that is missing before it makes anything", async () => {
    const [network, ...others] = oracle();
    project.declare([{ ...network, args: { cidrBlocks: ["10.0.0.0/16"] } } as Declared, ...others]);
    await project.scenario({});
    const { code, output } = await project.up();
    expect(code).not.toBe(0);
    expect(output).toMatch(/compartmentId/);
    expect(project.held("oci")).toEqual([]);
  });

  it("keeps a resource that failed after it was accepted, and a second up makes the rest", async () => {
    project.declare([...oracle(), ...azure]);
    await project.scenario({
      failures: [
        { cloud: "oci", on: "create", type: "*Instance", case: "timeout", times: 1 },
        { cloud: "azure-native", on: "create", type: "*PublicIPAddress", case: "rate", times: 2 },
      ],
    });
    const first = await project.up();
    expect(first.code).not.toBe(0);
    expect(first.output).toContain("timeout while waiting for state to become 'RUNNING'");
    const [machine] = project.held("oci", "oci:Core/instance:Instance");
    expect(
      project
        .calls()
        .filter((call) => call.name === "ip")
        .map(({ outcome }) => outcome),
    ).toEqual(["rate", "rate", "done"]);

    const second = await project.up();
    expect(second.code).toBe(0);
    expect(second.output).toContain("~ 1 updated");
    expect(await project.output("vm")).toMatchObject({ id: machine?.id, state: "RUNNING" });
    expect((await project.output("ip")) as object).toMatchObject({ ipAddress: expect.stringMatching(/^198\.18\./) });
  });

  it("makes a second machine before it deletes the first, which a free tenancy has no room for, unless it is told to", async () => {
    await project.scenario({});
    const moved = { availabilityDomain: "Uocm:PHX-AD-2" };
    project.declare([...oracle(moved), ...azure]);
    expect((await project.up()).output).toContain("400-LimitExceeded");
    project.declare([...oracle(moved, { deleteBeforeReplace: true }), ...azure]);
    expect((await project.up()).code).toBe(0);
    expect(project.held("oci", "oci:Core/instance:Instance").map(({ place }) => place)).toEqual([
      "Uocm:PHX-AD-2 VM.Standard.A1.Flex",
    ]);
  });

  it("is gone to the engine when its machine is, and comes back by a refresh", async () => {
    const [machine] = project.held("oci", "oci:Core/instance:Instance");
    project.lose("oci", machine?.id ?? "", String(machine?.outputs.bootVolumeId));
    expect((await project.up("--refresh")).code).toBe(0);
    const [other] = project.held("oci", "oci:Core/instance:Instance");
    expect(other?.id).not.toBe(machine?.id);
  });

  it("is empty after a destroy", async () => {
    expect((await project.destroy()).code).toBe(0);
    expect([...project.held("oci"), ...project.held("azure-native")]).toEqual([]);
  });
});
