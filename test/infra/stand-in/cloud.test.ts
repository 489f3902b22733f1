import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Cloud, CloudRefusal, standInCloud } from "../../../infra/stand-in/cloud.ts";
import { rulesFiles } from "../../../infra/stand-in/plugins.ts";
import { readRules } from "../../../infra/stand-in/rules.ts";
import { Scenario, type WrittenScenario } from "../../../infra/stand-in/scenario.ts";
import { openWorld, type World } from "../../../infra/stand-in/world.ts";

const folders = new Set<string>();
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

interface Trial {
  readonly cloud: Cloud;
  readonly world: World;
  /** Seconds of cloud time that the provider has waited. */
  waited(): number;
  make(type: string, inputs: Record<string, unknown>, name?: string): ReturnType<Cloud["create"]>;
}

/** A cloud whose time passes only while something waits for it. */
function trial(
  name: string,
  config: Record<string, unknown>,
  scenario: Omit<WrittenScenario, "schema"> = {},
  folder = mkdtempSync(join(tmpdir(), "cl-")),
): Trial {
  folders.add(folder);
  const file = rulesFiles().find((each) => each.includes(`/providers/${name}/`)) ?? "";
  let ms = Date.UTC(2026, 10, 21);
  const start = ms;
  const world = openWorld(folder);
  const settings = Scenario.parse({ schema: 1, speed: 1, ...scenario });
  const cloud = standInCloud({
    rules: readRules(file),
    world,
    scenario: () => settings,
    now: () => ms,
    async sleep(seconds) {
      ms += seconds * 1000;
    },
  });
  cloud.configure(config);
  return {
    cloud,
    world,
    waited: () => (ms - start) / 1000,
    make: (type, inputs, given = "one") =>
      cloud.create({ urn: `urn:pulumi:dev::gradientlab::${type}::${given}`, type, name: given, inputs }),
  };
}

const wanted = (type: string, inputs: Record<string, unknown>, name = "one") => ({
  urn: `urn:pulumi:dev::gradientlab::${type}::${name}`,
  type,
  name,
  inputs,
});

/** Returns what a promise rejects with. */
async function refusal(work: Promise<unknown>): Promise<CloudRefusal> {
  const error: unknown = await work.then(
    () => new Error("it was not refused"),
    (reason: unknown) => reason,
  );
  if (error instanceof CloudRefusal) return error;
  throw error;
}

const compartmentId = "ocid1.tenancy.oc1..aaaa";
const instance = "oci:Core/instance:Instance";

async function oracle(scenario: Omit<WrittenScenario, "schema"> = {}) {
  const made = trial("oci", { region: "us-phoenix-1", tenancyOcid: compartmentId }, scenario);
  const vcn = await made.make("oci:Core/vcn:Vcn", { compartmentId, cidrBlocks: ["10.0.0.0/16"] });
  const subnet = await made.make("oci:Core/subnet:Subnet", { compartmentId, vcnId: vcn.id, cidrBlock: "10.0.0.0/24" });
  const machine = (more: Record<string, unknown> = {}) => ({
    compartmentId,
    availabilityDomain: "Uocm:PHX-AD-1",
    shape: "VM.Standard.A1.Flex",
    shapeConfig: { ocpus: 1, memoryInGbs: 6 },
    createVnicDetails: { subnetId: subnet.id },
    ...more,
  });
  return { ...made, vcn, subnet, machine };
}

describe("the stand-in of Oracle's cloud", () => {
  it("makes an instance with an id, addresses and a boot volume that goes with it", async () => {
    const { make, machine, cloud, world, waited } = await oracle();
    const before = waited();
    const { id, outputs } = await make(instance, machine());
    expect(id).toMatch(/^ocid1\.instance\.oc1\.us-phoenix-1\.[a-z2-7]{60}$/);
    expect(outputs).toMatchObject({ state: "RUNNING", publicIp: expect.stringMatching(/^198\.18\./) });
    expect(waited() - before).toBe(60);
    expect(world.all("oci", "oci:Core/volume:Volume")).toHaveLength(1);
    await cloud.delete(wanted(instance, machine()), id);
    expect(world.all("oci", "oci:Core/volume:Volume")).toEqual([]);
  });

  it("says that a domain has no host left, in Oracle's words, until capacity comes, and tries nothing again itself", async () => {
    const { make, machine, waited } = await oracle({
      capacity: [{ cloud: "oci", domain: "*-AD-1", holds: 5, comesAfterTries: 2 }],
    });
    const before = waited();
    const first = await refusal(make(instance, machine()));
    expect(first.message).toMatch(
      /^1 error occurred:\n\t\* creating urn:\S+: 500-InternalError, Out of host capacity\.\nSuggestion: /,
    );
    expect(first.made).toBeUndefined();
    expect(waited()).toBe(before);
    await refusal(make(instance, machine()));
    expect((await make(instance, machine())).outputs.state).toBe("RUNNING");
  });

  it("keeps what failed after it was accepted, as gone", async () => {
    const { make, machine, cloud, world } = await oracle({ capacity: [{ cloud: "oci", holds: 0, later: true }] });
    const { message, made } = await refusal(make(instance, machine()));
    expect(message).toContain("work request did not succeed, workId: ocid1.coreservicesworkrequest");
    expect(message).toContain("Message: Out of host capacity.");
    expect(made?.outputs.state).toBe("TERMINATED");
    expect(await cloud.read(wanted(instance, {}), made?.id ?? "")).toBeNull();
    await cloud.delete(wanted(instance, {}), made?.id ?? "");
    expect(world.all("oci", instance)).toEqual([]);
  });

  it("holds a free tenancy to its processors and memory, and names every limit that is exceeded", async () => {
    const { make, machine } = await oracle();
    await make(instance, machine({ shapeConfig: { ocpus: 2, memoryInGbs: 12 } }));
    const { message } = await refusal(make(instance, machine(), "two"));
    expect(message).toContain(
      "400-LimitExceeded, The following service limits were exceeded: standard-a1-core-count, standard-a1-memory-count. Request a service limit increase",
    );
  });

  it("tries again for ten minutes when it is told that it asks too often, as long as it is told to wait", async () => {
    const failure = { cloud: "oci", on: "create", type: instance, case: "rate" } as const;
    const passing = await oracle({ failures: [{ ...failure, times: 3, retryAfterSeconds: 40 }] });
    const before = passing.waited();
    await passing.make(instance, passing.machine());
    expect(passing.waited() - before).toBe(3 * 40 + 60);

    const lasting = await oracle({ failures: [failure] });
    const { message } = await refusal(lasting.make(instance, lasting.machine()));
    expect(message).toContain("429-TooManyRequests, Too many requests for the user");
    expect(lasting.waited()).toBeGreaterThan(500);
  });

  it("refuses a domain that there is not, a shape that the domain does not have, and what refers to nothing", async () => {
    const { make, machine } = await oracle({
      offers: [{ cloud: "oci", shape: "VM.Standard.E2.1.Micro", domains: ["*-AD-3"] }],
    });
    expect((await refusal(make(instance, machine({ availabilityDomain: "PHX-AD-1" })))).message).toContain(
      "400-InvalidParameter, Invalid availabilityDomain",
    );
    expect((await refusal(make(instance, machine({ shape: "VM.Standard.E2.1.Micro" })))).message).toContain(
      "404-NotAuthorizedOrNotFound, shape VM.Standard.E2.1.Micro not found",
    );
    const lost = machine({ createVnicDetails: { subnetId: "ocid1.subnet.oc1.none" } });
    expect((await refusal(make(instance, lost))).message).toContain(
      "404-NotAuthorizedOrNotFound, Authorization failed",
    );
  });

  it("deletes in no other order than Oracle does, and waits for what is on its way first", async () => {
    const { make, machine, cloud, subnet, waited } = await oracle();
    await make(instance, machine());
    const before = waited();
    const { message } = await refusal(cloud.delete(wanted("oci:Core/subnet:Subnet", {}), subnet.id));
    expect(message).toContain(`409-Conflict, The Subnet ${subnet.id} references the VNIC ocid1.instance`);
    expect(waited() - before).toBeGreaterThan(500);
  });

  it("replaces an instance for its user data and swaps its boot volume in place, and never deletes first", async () => {
    const { cloud, machine } = await oracle();
    const old = machine({ metadata: { user_data: "a", note: "x" }, sourceDetails: { sourceId: "i1" } });
    const changed = machine({ metadata: { user_data: "b", note: "y" }, sourceDetails: { sourceId: "i2" } });
    const { paths, deleteBeforeReplace } = cloud.difference(instance, old, changed);
    expect(Object.fromEntries([...paths].map(([path, { replaces }]) => [path, replaces]))).toEqual({
      "metadata.user_data": true,
      "metadata.note": false,
      "sourceDetails.sourceId": false,
    });
    expect(deleteBeforeReplace).toBe(false);
  });

  it("answers a look-up that nothing fits with an empty list, and one with no argument missing with what there is", async () => {
    const { cloud } = await oracle();
    const domains = await cloud.invoke("oci:Identity/getAvailabilityDomains:getAvailabilityDomains", { compartmentId });
    expect((domains.availabilityDomains as { name: string }[]).map(({ name }) => name)).toEqual([
      "Uocm:PHX-AD-1",
      "Uocm:PHX-AD-2",
      "Uocm:PHX-AD-3",
    ]);
    const images = (shape: string) =>
      cloud.invoke("oci:Core/getImages:getImages", { compartmentId, operatingSystem: "Canonical Ubuntu", shape });
    expect((await images("VM.Standard.A1.Flex")).images).toHaveLength(1);
    expect((await images("BM.Standard.Q1")).images).toEqual([]);
  });

  it("shows a machine's states on the way to one that reads it meanwhile", async () => {
    const { make, machine, cloud, world } = await oracle();
    const { id } = await make(instance, machine());
    const [kept] = world.all("oci", instance);
    if (kept === undefined) throw new Error("no instance");
    const states: unknown[] = [];
    for (const ago of [0, 40, 70]) {
      world.keep("oci", { ...kept, since: kept.since + (60 - ago) * 1000 });
      states.push((await cloud.read(wanted(instance, {}), id))?.outputs.state);
    }
    expect(states).toEqual(["PROVISIONING", "STARTING", "RUNNING"]);
  });

  it("tells of every missing property before anything is made", async () => {
    const { cloud } = await oracle();
    const { mistakes } = cloud.check(wanted(instance, {}, "vm"), undefined);
    expect(mistakes.map(({ reason }) => reason)).toEqual([
      `Missing required argument. The argument "availability_domain" is required, but no definition was found.. Examine values at 'vm.availabilityDomain'.`,
      `Missing required argument. The argument "compartment_id" is required, but no definition was found.. Examine values at 'vm.compartmentId'.`,
    ]);
  });
});

const vm = "gcp:compute/instance:Instance";

async function google(scenario: Omit<WrittenScenario, "schema"> = {}) {
  const made = trial("gcp", { project: "p", region: "us-central1" }, scenario);
  const network = await made.make("gcp:compute/network:Network", { name: "net" });
  const subnetwork = await made.make("gcp:compute/subnetwork:Subnetwork", {
    name: "sub",
    network: network.id,
    ipCidrRange: "10.0.0.0/24",
    region: "us-central1",
  });
  const machine = (more: Record<string, unknown> = {}) => ({
    name: "vm-0",
    zone: "us-central1-a",
    machineType: "e2-micro",
    bootDisk: { initializeParams: { image: "i", size: 10 } },
    networkInterfaces: [{ subnetwork: subnetwork.id, accessConfigs: [{}] }],
    ...more,
  });
  return { ...made, network, subnetwork, machine };
}

describe("the stand-in of Google's cloud", () => {
  it("leaves nothing behind where a zone had no room after the operation began", async () => {
    const { make, machine, world } = await google({ capacity: [{ cloud: "gcp", holds: 0 }] });
    const { message, made } = await refusal(make(vm, machine()));
    expect(message).toBe(
      "1 error occurred:\n\t* Error waiting for instance to create: The zone 'projects/p/zones/us-central1-a' does not have enough resources available to fulfill the request.  Try a different zone, or try again later.\n\n",
    );
    expect(made).toBeUndefined();
    expect(world.all("gcp", vm)).toEqual([]);
  });

  it("lets a name be once in its scope, and says what is over a quota", async () => {
    const { make, machine } = await google({ quotas: { gcp: { CPUS: 3 } } });
    await make(vm, machine());
    expect((await refusal(make(vm, machine()))).message).toContain(
      "Error creating instance: googleapi: Error 409: The resource 'projects/p/zones/us-central1-a/instances/vm-0' already exists, alreadyExists",
    );
    expect((await refusal(make(vm, machine({ name: "vm-1" })))).message).toContain(
      "Error waiting for instance to create: Quota 'CPUS' exceeded.  Limit: 3.0 in region us-central1.\n\tmetric name = compute.googleapis.com/cpus",
    );
  });

  it("changes a machine's type only where it may stop it, and its metadata while it runs", async () => {
    const { make, machine, cloud } = await google();
    const { id } = await make(vm, machine());
    const larger = machine({ machineType: "e2-small" });
    expect((await refusal(cloud.update(wanted(vm, larger), id))).message).toContain(
      "on a started instance requires stopping it. To acknowledge this, please set allow_stopping_for_update = true",
    );
    expect((await cloud.update(wanted(vm, { ...larger, allowStoppingForUpdate: true }), id)).outputs).toMatchObject({
      machineType: "e2-small",
    });
    expect([...cloud.difference(vm, machine(), machine({ metadata: { "user-data": "new" } })).paths.values()]).toEqual([
      { replaces: false, kind: "add" },
    ]);
  });

  it("powers a machine off, without its address, and on again", async () => {
    const { make, machine, cloud } = await google();
    const { id } = await make(vm, machine({ desiredStatus: "RUNNING" }));
    const off = await cloud.update(wanted(vm, machine({ desiredStatus: "TERMINATED" })), id);
    expect(off.outputs.currentStatus).toBe("TERMINATED");
    expect(JSON.stringify(off.outputs)).not.toContain("natIp");
    const on = await cloud.update(wanted(vm, machine({ desiredStatus: "RUNNING" })), id);
    expect(on.outputs.currentStatus).toBe("RUNNING");
    expect(JSON.stringify(on.outputs)).toContain("natIp");
  });

  it("keeps a protected machine, and a network that is in use", async () => {
    const { make, machine, cloud, subnetwork, network } = await google();
    const { id } = await make(vm, machine({ deletionProtection: true }));
    expect((await refusal(cloud.delete(wanted(vm, {}), id))).message).toContain(
      "Cannot delete instance vm-0: instance Deletion Protection is enabled.",
    );
    expect(
      (await refusal(cloud.delete(wanted("gcp:compute/subnetwork:Subnetwork", {}), subnetwork.id))).message,
    ).toContain(
      `Error 400: The subnetwork resource '${subnetwork.id}' is already being used by '${id}', resourceInUseByAnotherResource`,
    );
    expect((await refusal(cloud.delete(wanted("gcp:compute/network:Network", {}), network.id))).message).toContain(
      "is already being used by",
    );
  });

  it("deletes first only what has a name of the program's own", async () => {
    const { cloud, machine } = await google();
    const moved = (name: Record<string, unknown>) =>
      cloud.difference(vm, { ...machine(), ...name }, { ...machine(), ...name, zone: "us-central1-b" });
    expect(moved({}).deleteBeforeReplace).toBe(true);
    expect(moved({ name: undefined }).deleteBeforeReplace).toBe(false);
  });

  it("refuses to work without credentials, in Google's words", async () => {
    const failures = [{ cloud: "gcp", on: "configure", case: "auth" }] as const;
    expect(() => trial("gcp", {}, { failures: [...failures] })).toThrow("google: could not find default credentials.");
  });
});

const group = { resourceGroupName: "fleet" };
const machineType = "azure-native:compute:VirtualMachine";

async function azure(scenario: Omit<WrittenScenario, "schema"> = {}) {
  const made = trial("azure", { subscriptionId: "s", location: "eastus" }, scenario);
  await made.make("azure-native:resources:ResourceGroup", { ...group, location: "eastus" });
  await made.make("azure-native:network:VirtualNetwork", { ...group, virtualNetworkName: "v" });
  const subnet = await made.make("azure-native:network:Subnet", {
    ...group,
    virtualNetworkName: "v",
    subnetName: "nodes",
  });
  const card = await made.make("azure-native:network:NetworkInterface", {
    ...group,
    networkInterfaceName: "n",
    ipConfigurations: [{ name: "public", subnet: { id: subnet.id } }],
  });
  const machine = (more: Record<string, unknown> = {}) => ({
    ...group,
    location: "eastus",
    vmName: "vm",
    hardwareProfile: { vmSize: "Standard_B2ats_v2" },
    networkProfile: { networkInterfaces: [{ id: card.id }] },
    osProfile: { customData: "a" },
    storageProfile: { osDisk: { deleteOption: "Delete" } },
    ...more,
  });
  return { ...made, subnet, card, machine };
}

describe("the stand-in of Azure", () => {
  it("refuses to change what only a new machine can have, in place of replacing it", async () => {
    const { make, machine, cloud } = await azure();
    const { id } = await make(machineType, machine());
    const changed = machine({ osProfile: { customData: "b" } });
    expect([...cloud.difference(machineType, machine(), changed).paths.values()]).toEqual([
      { replaces: false, kind: "update" },
    ]);
    expect((await refusal(cloud.update(wanted(machineType, changed), id))).message).toBe(
      `Status=409 Code="PropertyChangeNotAllowed" Message="Changing property 'osProfile.customData' is not allowed."`,
    );
  });

  it("keeps a machine that failed after it was accepted, and makes it at the next try", async () => {
    const { make, machine, cloud } = await azure({
      capacity: [{ cloud: "azure-native", holds: 5, comesAfterTries: 1, later: true }],
    });
    const { message, made } = await refusal(make(machineType, machine()));
    expect(message).toContain(`Code="AllocationFailed" Message="Allocation failed. We do not have sufficient capacity`);
    expect(made?.outputs.provisioningState).toBe("Failed");
    expect((await cloud.update(wanted(machineType, machine()), made?.id ?? "")).outputs.provisioningState).toBe(
      "Succeeded",
    );
  });

  it("counts processors of a region, names what is in use, and knows ids in any case", async () => {
    const { make, machine, cloud, subnet, card } = await azure({
      quotas: { "azure-native": { "Total Regional Cores": 3 } },
    });
    await make(machineType, machine({ networkProfile: { networkInterfaces: [{ id: card.id.toUpperCase() }] } }));
    expect((await refusal(make(machineType, machine({ vmName: "vm2" })))).message).toContain(
      "Current Limit: 3, Current Usage: 2, Additional Required: 2, (Minimum) New Limit Required: 4.",
    );
    expect((await refusal(cloud.delete(wanted("azure-native:network:Subnet", {}), subnet.id))).message).toContain(
      `Code="InUseSubnetCannotBeDeleted" Message="Subnet nodes is in use by ${card.id}`,
    );
    expect((await refusal(make(machineType, machine({ resourceGroupName: "none" })))).message).toContain(
      `Code="ResourceGroupNotFound" Message="Resource group 'none' could not be found."`,
    );
  });

  it("leaves a machine's disk behind unless it is to go with it, and takes all of a group with the group", async () => {
    const { make, machine, cloud, world } = await azure();
    const disk = "azure-native:compute:Disk";
    const lasting = machine({ storageProfile: { osDisk: {} } });
    const { id } = await make(machineType, lasting);
    await cloud.delete(wanted(machineType, lasting), id);
    expect(world.all("azure-native", disk)).toHaveLength(1);
    const { id: other } = await make(machineType, machine());
    await cloud.delete(wanted(machineType, machine()), other);
    expect(world.all("azure-native", disk)).toHaveLength(1);
    await cloud.delete(wanted("azure-native:resources:ResourceGroup", {}), "/subscriptions/s/resourceGroups/fleet");
    expect(world.all("azure-native")).toEqual([]);
  });

  it("waits 20, 60 and 120 seconds when it is throttled", async () => {
    const failures = [
      { cloud: "azure-native", on: "create" as const, type: "*PublicIPAddress", case: "rate", times: 3 },
    ];
    const { make, waited } = await azure({ failures });
    const before = waited();
    await make("azure-native:network:PublicIPAddress", { ...group, publicIpAddressName: "ip" });
    expect(waited() - before).toBe(20 + 60 + 120 + 10);
  });
});

describe("the errors of the stand-in clouds", () => {
  it.each(
    rulesFiles()
      .filter((file) => file.includes("/providers/"))
      .map((file) => [basename(dirname(dirname(file))), file]),
  )("of %s can each be met, whatever the scenario makes fail", async (name, file) => {
    const cases = readRules(file).rules.flatMap((rule) => (rule.kind === "error" ? [rule.case] : []));
    const { plugin, rules } = readRules(file);
    const [type = ""] = rules.flatMap((rule) => (rule.kind === "capacity" ? [rule.type] : []));
    for (const each of cases) {
      const { cloud } = trial(
        name,
        { region: "r", location: "l", project: "p" },
        { failures: [{ cloud: plugin, on: "delete", case: each }] },
      );
      const accepted = rules.some((rule) => rule.kind === "error" && rule.case === each && rule.accepted);
      const work = cloud.delete(wanted(type, { compartmentId }), "some-id");
      if (!accepted) expect((await refusal(work)).message.length).toBeGreaterThan(10);
      else await expect(work).rejects.toThrow("let it fail on create");
    }
  });
});

describe("the world of stand-in clouds", () => {
  it("is the same for two processes, and an operation is whole or not there", async () => {
    const folder = mkdtempSync(join(tmpdir(), "cl-"));
    const one = trial("gcp", { project: "p" }, {}, folder);
    const two = trial("gcp", { project: "p" }, {}, folder);
    await one.make("gcp:compute/network:Network", { name: "net" });
    expect(two.world.all("gcp").map(({ id }) => id)).toEqual(["projects/p/global/networks/net"]);
    expect((await refusal(two.make("gcp:compute/network:Network", { name: "net" }))).message).toContain(
      "already exists",
    );
    expect(() =>
      one.world.whole(() => {
        one.world.drop("gcp", "projects/p/global/networks/net");
        throw new Error("half-way");
      }),
    ).toThrow("half-way");
    expect(two.world.all("gcp")).toHaveLength(1);
  });
});
