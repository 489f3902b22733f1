import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../infra/config.ts";
import { NodeRecord } from "../../infra/inventory.ts";
import { type FleetPlan, planFleet, type Surroundings } from "../../infra/plan.ts";
import { liveSlots } from "../../infra/slots.ts";
import { known } from "./known.ts";

const pulse = { provider: "local", size: "process", count: 3, workload: "pulse", network: "practice" };
const shed = { ...pulse, provider: "shed", region: "yard", size: "shelf" };

function plan(groups: Record<string, object>, more: object = {}, around: Surroundings = known): FleetPlan {
  const fleet = JSON.stringify({ schema: 1, groups, ...more });
  return planFleet(parseConfig({ "gradientlab:fleet": fleet }, around), around);
}
const keys = (planned: FleetPlan): string[] => planned.nodes.map(({ spec }) => spec.key);
const without = (slots: readonly number[], others: readonly number[]): number[] => {
  const out = new Set(others);
  return slots.filter((slot) => !out.has(slot));
};
const refusals = (planned: FleetPlan): string[] => planned.refusals.map(({ message, fix }) => `${message} ${fix}`);

describe("the slots of a group", () => {
  it("are the count smallest that are not retired", () => {
    expect(liveSlots(3, [])).toEqual([0, 1, 2]);
    expect(liveSlots(3, [1, 7])).toEqual([0, 2, 3]);
    expect(liveSlots(0, [1])).toEqual([]);
  });

  const count = fc.nat(1000);
  const retired = fc.uniqueArray(fc.nat(1100), { maxLength: 50 });

  it("change by exactly as many as the count does, and the smaller set lies in the larger", () => {
    fc.assert(
      fc.property(count, count, retired, (from, to, gone) => {
        const few = liveSlots(Math.min(from, to), gone);
        const many = liveSlots(Math.max(from, to), gone);
        expect(new Set(many).size).toBe(Math.max(from, to));
        expect(without(few, many)).toEqual([]);
        expect(without(many, few)).toHaveLength(Math.abs(from - to));
      }),
    );
  });

  it("move by one, to a slot that was never used before, when a live one is retired", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), retired, fc.nat(), (n, gone, pick) => {
        const before = liveSlots(n, gone);
        const leaves = before[pick % before.length] ?? 0;
        const after = liveSlots(n, [...gone, leaves]);
        expect(without(before, after)).toEqual([leaves]);
        expect(without(after, before)).toEqual([after.at(-1)]);
        expect(after.at(-1)).toBeGreaterThan(before.at(-1) ?? -1);
      }),
    );
  });
});

describe("a plan", () => {
  it("has a node for each live slot, sorted by key, with all that the inventory says before a machine exists", () => {
    const planned = plan({ home: { ...pulse, count: 11, retired: [0], stopped: [2], label: "Study" }, attic: shed });
    expect(planned.refusals).toEqual([]);
    expect(keys(planned)).toEqual(keys(planned).toSorted());
    expect(keys(planned)).toHaveLength(14);
    const node = planned.nodes.find(({ spec }) => spec.key === "home/2");
    expect(node?.spec).toMatchObject({ arch: "x64", os: "host", cpus: 1, memoryMib: 400, power: "off" });
    for (const { record } of planned.nodes) {
      const reach = { kind: "process", directory: "/nodes" };
      const whole = { ...record, machineId: "m", placement: "p", reach };
      expect(NodeRecord.parse(whole)).toEqual(whole);
    }
    expect(node?.record).toMatchObject({ key: "home/2", slot: 2, label: "Study", power: "off", region: "here" });
  });

  it("keeps every node as it was when another group changes", () => {
    const before = plan({ home: pulse, attic: shed });
    const after = plan({ home: { ...pulse, count: 9, retired: [1] }, attic: shed });
    const attic = (planned: FleetPlan): unknown => planned.nodes.filter(({ spec }) => spec.group === "attic");
    expect(attic(after)).toEqual(attic(before));
  });

  it("needs a network's service as long as a node, powered off or not, earns from it", () => {
    expect(plan({ home: { ...pulse, count: 1, stopped: [0] } }).services).toEqual(["practice"]);
    expect(plan({ home: { ...pulse, count: 0 } }).services).toEqual([]);
    expect(plan({ home: { ...pulse, network: null } }).services).toEqual([]);
  });

  it("has each site and each price line once, as its provider's facts say", () => {
    const planned = plan({ a: shed, b: { ...shed, region: "garden" }, c: shed });
    expect(planned.sites.map(({ region }) => region)).toEqual(["garden", "yard"]);
    expect(planned.shared.map(({ microUsdPerMonth }) => microUsdPerMonth)).toEqual([30_000, 30_000]);
    expect(planned.nodes.every(({ record }) => record.price[0]?.microUsdPerMonth === 300_000)).toBe(true);
    expect(plan({ a: pulse }).shared).toEqual([]);
  });

  it("carries the phase of the config, without any clock reading", () => {
    const phases = { grant: { end: "2027-05-01", then: "wind-down", budgetUsdPerMonth: "83.33" } };
    const expected = { name: "grant", end: "2027-05-01T00:00:00.000Z", then: "wind-down" };
    const planned = plan({ home: pulse }, { phase: "grant", phases });
    expect(planned.phase).toEqual({ ...expected, budgetMicroUsdPerMonth: 83_330_000 });
    const fleet = JSON.stringify({ schema: 1, groups: { home: pulse }, phase: "grant", phases });
    const config = parseConfig({ "gradientlab:fleet": fleet }, known);
    expect(planFleet(config, known)).toEqual(planned);
  });

  it("takes the architecture of a size that is this machine's from this machine", () => {
    expect(plan({ home: pulse }, {}, { ...known, arch: "arm64" }).nodes[0]?.spec.arch).toBe("arm64");
  });
});

describe("a plan that cannot be", () => {
  const path = "gradientlab:fleet.groups.home";

  it("is refused where a slot is stopped that no one can power off", () => {
    expect(refusals(plan({ home: { ...shed, stopped: [1, 2] } }))).toEqual([
      `${path}.stopped is [1,2], and machines of shed cannot be powered off. Remove it, or retire the slots.`,
    ]);
  });

  it("is refused where processes would run on another processor than this machine's", () => {
    const emulated = { ...pulse, workload: "sentry", size: "machine-arm64" };
    expect(refusals(plan({ home: emulated }))).toEqual([
      `${path}.size is "machine-arm64", a machine of arm64, and processes run on this one's x64. Choose another size, or virtual machines where the provider has an option for them.`,
    ]);
    const { nodes, refusals: none } = plan({ home: { ...emulated, options: { mode: "vm" } } });
    expect(none).toEqual([]);
    expect(nodes[0]?.record.arch).toBe("arm64");
  });

  it("is refused where a cloud's account is not named, and not where the cloud has no machine", () => {
    const far = { provider: "gcp", region: "us-central1", size: "e2-micro", workload: "sentry", network: null };
    expect(refusals(plan({ home: { ...far, count: 2 } }))).toEqual([
      "gradientlab:fleet.accounts.gcp is missing, and machines would be made wherever this machine's credentials point. Write there the billing account's id, and the project under options.",
    ]);
    expect(refusals(plan({ home: { ...far, count: 0 } }))).toEqual([]);
    expect(
      refusals(plan({ home: { ...far, count: 2 } }, { accounts: { gcp: { id: "012345-6789AB-CDEF01" } } })),
    ).toEqual([]);
  });

  it("is refused where a network has no service of its own for nodes that are processes", () => {
    const around = { ...known, services: new Set<string>(["other"]) };
    expect(refusals(plan({ home: pulse }, {}, around))).toEqual([
      `${path}.network is "practice", and a node that runs as processes earns from a network with a service of its own only. Choose one of: other, or write null for none.`,
    ]);
  });
});

describe("a plan for clouds", () => {
  const machine = { workload: "sentry", network: null, count: 4 };
  const oci = { ...machine, provider: "oci", region: "us-ashburn-1", size: "micro" };
  const gcp = { ...machine, provider: "gcp", region: "us-central1", size: "e2-micro" };

  it("spreads the nodes of a group over the region's domains, by the node's key alone", () => {
    const few = plan({ a: oci, b: { ...oci, count: 2 } });
    const many = plan({ a: { ...oci, count: 9 }, b: oci, c: gcp });
    const where = (planned: FleetPlan): Map<string, unknown> =>
      new Map(planned.nodes.map(({ spec }) => [spec.key, spec.placement]));
    for (const [key, placement] of where(few)) expect(where(many).get(key)).toEqual(placement);
    const used = many.nodes.flatMap(({ spec }) => (spec.group === "a" ? [spec.placement?.domain] : []));
    for (const domain of ["AD-1", "AD-2", "AD-3"]) expect(used.filter((each) => each === domain)).toHaveLength(3);
    expect(many.nodes.find(({ spec }) => spec.key === "c/0")?.spec.placement?.domain).toMatch(/^us-central1-[abcf]$/);
  });

  it("leaves a node where the config's placements say that it is", () => {
    const placements = { "a/1": { domain: "AD-3", shape: "VM.Standard.A1.Flex" } };
    const { spec } = plan({ a: oci }, { placements }).nodes[1] ?? {};
    expect(spec).toMatchObject({ placement: placements["a/1"], shape: "VM.Standard.A1.Flex", arch: "arm64" });
  });

  it("prices each node at list price for a month of 730 hours", () => {
    const total = (group: object): number | undefined =>
      plan({ a: group }).nodes[0]?.record.price.reduce((sum, line) => sum + line.microUsdPerMonth, 0);
    // 10.164793, and 0.12 for one GiB of outbound traffic.
    expect(total({ ...gcp, options: { egressGibPerMonth: 0 } })).toBe(6_114_793 + 400_000 + 3_650_000);
    expect(total(gcp)).toBe(6_114_793 + 400_000 + 3_650_000 + 120_000);
    const a1 = { ...oci, size: "a1-1-6" };
    expect(total(a1)).toBe(7_300_000 + 6_570_000 + 1_275_000 + 850_000);
    expect(total({ ...a1, stopped: [0] })).toBe(1_275_000 + 850_000);
  });

  it("has a record of the collector's own machine, which is no node", () => {
    const host = { provider: "gcp", region: "us-central1", size: "e2-small" };
    const planned = plan({ a: oci }, { collector: { host } });
    expect(planned.collector?.spec).toMatchObject({ key: "collector", shape: "e2-small", memoryMib: 2048 });
    expect(keys(planned)).not.toContain("collector");
    expect(planned.sites.map(({ provider, region }) => `${provider} ${region}`)).toEqual([
      "gcp us-central1",
      "oci us-ashburn-1",
    ]);
    expect(plan({ a: oci }).collector).toBeNull();
    const here = plan({ a: oci }, { collector: { host: { provider: "local", region: "here", size: "machine" } } });
    expect(here.collector?.spec).toMatchObject({ key: "collector", os: "debian-12", options: { mode: "vm" } });
    expect(here.collector?.boot.kind).toBe("user-data");
    expect(here.warnings).toEqual([]);
    const local = { provider: "local", size: "process", workload: "sentry", network: "practice", count: 1 };
    expect(plan({ a: oci, here: local }, { collector: { host } }).warnings).toEqual([
      "gradientlab:fleet.groups.here has its nodes on this machine, which the collector's own machine does not reach: nothing is heard of them there.",
    ]);
    expect(plan({ a: oci, here: local }).warnings).toEqual([]);
    const keyless = { ...known, boot: { ...known.boot, keys: { operator: [], collector: [] } } };
    const keysMissing = plan({}, { collector: { host } }, keyless);
    expect(keysMissing.refusals.map(({ path }) => path)).toContain("gradientlab:fleet.access.keys.operator");
  });
});
