import { describe, expect, it } from "vitest";
import { firstOf } from "../../../../infra/providers/oci/image.ts";
import { quotaStatements } from "../../../../infra/providers/oci/limits.ts";
import { domainNamed } from "../../../../infra/providers/oci/network.ts";
import type { NodeSpec } from "../../../../infra/providers/provider.ts";
import type { Declared } from "../declared.ts";
import { accounts, declaredFleet, groupOn, providers } from "../fleet-on.ts";

const facts = providers.facts.get("oci");
if (facts === undefined) throw new Error("oci has no facts");
const home = groupOn(facts, { region: "us-phoenix-1", size: "a1-1-6", count: 2 });
const of = (all: readonly Declared[], kind: string): Declared[] =>
  all.filter(({ type }) => type.startsWith("oci:") && type.endsWith(`:${kind}`));
const node = (all: readonly Declared[], key: string): Declared["inputs"] | undefined =>
  of(all, "Instance").find(({ name }) => name === key)?.inputs;

describe("a machine", () => {
  it("is made in the domain of the plan by the tenancy's own name for it, from the newest image of its shape", async () => {
    const placements = { "home/0": { domain: "AD-3", shape: "VM.Standard.A1.Flex" } };
    const all = await declaredFleet({ home }, { placements });
    expect(node(all, "home/0")).toMatchObject({
      availabilityDomain: "Uocm:PHX-AD-3",
      compartmentId: accounts.oci,
      displayName: "gl-dev-home-0",
      shape: "VM.Standard.A1.Flex",
      shapeConfig: { ocpus: 1, memoryInGbs: 6 },
      sourceDetails: { sourceType: "image", sourceId: "image-of-VM.Standard.A1.Flex", bootVolumeSizeInGbs: "50" },
      createVnicDetails: { assignPublicIp: "true" },
      state: "RUNNING",
      freeformTags: { "gradientlab-stack": "dev", "gradientlab-node": "home/0" },
    });
  });

  it("of a fixed shape has no processors to choose", async () => {
    const all = await declaredFleet({ home: { ...home, size: "micro" } });
    expect(node(all, "home/0")).not.toHaveProperty("shapeConfig");
  });

  it("keeps its disk and its first user data whatever image is the newest, until its machine revision is raised", async () => {
    const [instance] = of(await declaredFleet({ home }), "Instance");
    expect(instance?.options).toMatchObject({
      ignoreChanges: ["sourceDetails.sourceId", "metadata"],
      replacementTrigger: 1,
      deleteBeforeReplace: true,
    });
  });

  it("goes into the compartment of the config", async () => {
    const compartment = "ocid1.compartment.oc1..aaaaaaaafleet";
    const all = await declaredFleet({ home }, { accounts: { oci: { id: accounts.oci, options: { compartment } } } });
    expect(node(all, "home/1")).toMatchObject({ compartmentId: compartment });
    expect(of(all, "Vcn")[0]?.inputs).toMatchObject({ compartmentId: compartment });
    expect(of(all, "Quota")[0]?.inputs).toMatchObject({ compartmentId: accounts.oci });
  });
});

describe("the network", () => {
  it("lets in SSH from the ranges of the config and nothing else, the network's default list included", async () => {
    const all = await declaredFleet({ home });
    const [subnet] = of(all, "Subnet");
    expect(subnet?.inputs.securityListIds).toEqual(["SecurityList-oci-us-phoenix-1"]);
    expect(of(all, "SecurityList")[0]?.inputs).not.toHaveProperty("ingressSecurityRules");
    const rules = of(all, "NetworkSecurityGroupSecurityRule").map(({ inputs }) => inputs);
    expect(rules.map(({ source }) => source)).toEqual(["198.51.100.0/24", "203.0.113.4/32"]);
    for (const rule of rules)
      expect(rule).toMatchObject({
        direction: "INGRESS",
        protocol: "6",
        tcpOptions: { destinationPortRange: { min: 22, max: 22 } },
      });
    expect(node(all, "home/0")?.createVnicDetails).toMatchObject({ nsgIds: ["NetworkSecurityGroup-oci-us-phoenix-1"] });
  });

  it("has a rule less, and no other change, where a range leaves the config", async () => {
    const sshFrom = ["203.0.113.4/32"];
    const keys = { operator: ["ssh-ed25519 AAAA"], collector: ["ssh-ed25519 AAAA"] };
    const all = await declaredFleet({ home }, { access: { sshFrom, keys } });
    expect(of(all, "NetworkSecurityGroupSecurityRule").map(({ name }) => name)).toEqual([
      "oci-us-phoenix-1-ssh-203.0.113.4/32",
    ]);
  });
});

describe("what Oracle does not have stops the program with a sentence, for an empty list is no error there:", () => {
  it("an image", () => {
    expect(() => firstOf([], "VM.Standard.A1.Flex", "us-phoenix-1")).toThrow(
      "Oracle Cloud lists no image of Canonical Ubuntu 24.04 for the shape VM.Standard.A1.Flex in us-phoenix-1.",
    );
  });

  it("any availability domain, or that of a placement", () => {
    expect(() => domainNamed("AD-1", [], "us-phoenix-1")).toThrow(
      "Oracle Cloud lists no availability domain in us-phoenix-1. Check that the account",
    );
    expect(() => domainNamed("AD-3", ["Uocm:PHX-AD-1", "Uocm:PHX-AD-2"], "us-phoenix-1")).toThrow(
      "no availability domain AD-3 in us-phoenix-1; it has Uocm:PHX-AD-1, Uocm:PHX-AD-2.",
    );
  });
});

describe("what Oracle itself holds the tenancy to", () => {
  const spec = (shape: string, cpus: number, memoryMib: number): NodeSpec =>
    ({ key: "a/0", cpus, memoryMib, placement: { domain: "AD-1", shape } }) as NodeSpec;

  it("is the sum of what the nodes have of each family of flexible shapes", () => {
    expect(
      quotaStatements([
        spec("VM.Standard.E5.Flex", 1, 2048),
        spec("VM.Standard.A1.Flex", 1, 6144),
        spec("VM.Standard.E2.1.Micro", 1, 1024),
        spec("VM.Standard.A1.Flex", 1, 6144),
      ]),
    ).toEqual([
      "set compute-core quota standard-a1-core-count to 2 in tenancy",
      "set compute-core quota standard-e5-core-count to 1 in tenancy",
      "set compute-memory quota standard-a1-memory-count to 12 in tenancy",
      "set compute-memory quota standard-e5-memory-count to 2 in tenancy",
    ]);
  });

  it("is set in the home region, before anything that it bounds is made", async () => {
    const all = await declaredFleet({ home: { ...home, region: "us-ashburn-1" } });
    const [quota] = of(all, "Quota");
    expect(quota?.options.provider).toBe("oci-home");
    expect(all.find(({ name }) => name === "oci-home")?.inputs).toMatchObject({ region: "us-phoenix-1" });
    expect(of(all, "Vcn")[0]?.dependsOn).toContain("Quota oci");
  });

  it("is also a budget of whole units of money, with two alerts, where there is a phase", async () => {
    const all = await declaredFleet({ home }, { phase: "pilot", phases: { pilot: { budgetUsdPerMonth: "83.33" } } });
    expect(of(all, "Budget")[0]?.inputs).toMatchObject({ amount: 84, targets: [accounts.oci], resetPeriod: "MONTHLY" });
    expect(of(all, "Rule").map(({ inputs }) => inputs.type)).toEqual(["ACTUAL", "FORECAST"]);
  });
});
