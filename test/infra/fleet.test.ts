import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodePaths } from "../../cloud-init/agent/folder.ts";
import { decodeLine } from "../../cloud-init/agent/line.ts";
import { ensureStack } from "../../infra/engine/stack.ts";
import type { InventoryFile } from "../../infra/inventory.ts";
import { groupAlive, groupIdentity } from "../../infra/providers/local/process/group.ts";
import { processesOf, until, untilNothingRuns } from "../harness/checkout.ts";
import { makeProject, type Project, type Step } from "../harness/project.ts";

let project: Project;

beforeEach(async () => {
  project = await makeProject();
});
afterEach(() => project.remove());

const nodes = (steps: readonly Step[]): string[] =>
  steps
    .filter(({ type }) => type === "ProcessNode")
    .map(({ op, name }) => `${op} ${name}`)
    .toSorted();
const folderOf = (key: string): string => join(project.place.home, "nodes", ...key.split("/"));
const machines = async (): Promise<Record<string, string>> =>
  Object.fromEntries((await project.inventory()).nodes.map(({ key, machineId }) => [key, machineId]));
const fileNow = (): InventoryFile => project.json("inventory.json") as InventoryFile;
/** Ends all processes of a node, as a reboot would. */
async function kill(directory: string): Promise<void> {
  process.kill(groupIdentity(directory)?.pid ?? Number.NaN, "SIGKILL");
  await until("the group to be dead", 10_000, async () => !(await groupAlive(directory)));
}
/** The numbers of all lines of a node that is gone, from its spool, in order; all of one journal. */
function spooled(key: string): number[] {
  const folder = join(project.place.home, "spool", ...key.split("/"));
  const [file = "none"] = readdirSync(folder);
  const [header, ...rest] = readFileSync(join(folder, file), "utf8").trim().split("\n");
  const { journal, first, last } = JSON.parse(header ?? "");
  expect(file).toBe(`${journal}.jsonl`);
  expect(JSON.parse(rest.pop() ?? "")).toEqual({ end: true, count: rest.length, more: false });
  const numbers = rest.map((text) => {
    const read = decodeLine(text);
    return "line" in read && read.line.j === journal ? read.line.n : Number.NaN;
  });
  expect([numbers[0], numbers.at(-1)]).toEqual([first, last]);
  return numbers;
}

describe("a fleet", () => {
  it("is previewed without a trace, made as a tree, and then the same in every preview", async () => {
    project.configure({ home: { count: 2 }, attic: { count: 1, label: "Under the roof" } });
    expect(nodes(await project.preview())).toEqual(["create attic/0", "create home/0", "create home/1"]);
    expect(readdirSync(join(project.place.home, "nodes"))).toEqual([]);
    expect(fileNow()).toBeUndefined();

    const steps = await project.up();
    expect(steps.map(({ type }) => type).toSorted()).toEqual(
      ["Fleet", "Group", "Group", "InventoryFile", "Node", "Node", "Node", "ProcessNode", "ProcessNode", "ProcessNode"]
        .concat("Stack")
        .toSorted(),
    );
    for (const key of ["attic/0", "home/0", "home/1"]) expect(await groupAlive(folderOf(key))).toBe(true);
    expect(await project.preview()).toEqual([]);
    expect(await project.up()).toEqual([]);
  });

  it("tells the collector its inventory in a file, byte for byte that of its output, without clock or secret", async () => {
    project.configure({ home: { count: 1, label: "Study" } });
    await project.up();
    const inventory = await project.inventory();
    expect(inventory).toEqual({
      schema: 1,
      stack: "dev",
      phase: null,
      freeUntil: [],
      shared: [],
      nodes: [
        {
          key: "home/0",
          group: "home",
          slot: 0,
          label: "Study",
          provider: "local",
          region: "here",
          placement: "this-machine",
          arch: process.arch,
          size: "process",
          workload: "pulse",
          network: null,
          power: "on",
          price: [],
          machineId: expect.stringMatching(/^[0-9a-f-]{36}$/),
          revision: { machine: 1, software: 1 },
          reach: { kind: "process", directory: folderOf("home/0") },
        },
      ],
    });
    const file = fileNow();
    expect(file.inventory).toEqual(inventory);
    const sum = createHash("sha256").update(JSON.stringify(file.inventory)).digest("hex");
    expect(file.sha256).toBe(sum);
    expect(Math.abs(Date.parse(file.writtenAt) - Date.now())).toBeLessThan(60_000);

    rmSync(join(project.place.home, "inventory.json"));
    expect((await project.up("--refresh")).map(({ op, type }) => `${op} ${type}`)).toContain("create InventoryFile");
    expect(fileNow().sha256).toBe(sum);
  });

  it("touches exactly the nodes that a changed count adds or takes, and loses no journal line of those that go", async () => {
    project.configure({ home: { count: 3 }, attic: { count: 1 } });
    await project.up();
    const first = await machines();

    project.configure({ home: { count: 5 }, attic: { count: 1 } });
    expect(nodes(await project.up())).toEqual(["create home/3", "create home/4"]);
    expect(await machines()).toMatchObject(first);
    await until("some samples", 20_000, () => readdirSync(nodePaths(folderOf("home/4")).journal).length > 0);

    project.configure({ home: { count: 2 }, attic: { count: 1 } });
    expect(nodes(await project.up())).toEqual(["delete home/2", "delete home/3", "delete home/4"]);
    expect(Object.keys(await machines())).toEqual(["attic/0", "home/0", "home/1"]);
    for (const key of ["home/2", "home/3", "home/4"]) {
      expect(existsSync(folderOf(key))).toBe(false);
      const numbers = spooled(key);
      expect(numbers.length).toBeGreaterThan(2);
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    }
  });

  it("moves one node when its slot is retired", async () => {
    project.configure({ home: { count: 3 } });
    await project.up();
    const before = await machines();
    project.configure({ home: { count: 3, retired: [1] } });
    expect(nodes(await project.up())).toEqual(["create home/3", "delete home/1"]);
    const { "home/1": _, ...rest } = before;
    expect(await machines()).toMatchObject(rest);
  });

  it("powers a stopped slot off and on with its disk and identity, in place", async () => {
    project.configure({ home: { count: 2 } });
    await project.up();
    const before = await machines();
    project.configure({ home: { count: 2, stopped: [1] } });
    expect(nodes(await project.up())).toEqual(["update home/1"]);
    expect(await groupAlive(folderOf("home/1"))).toBe(false);
    expect((await project.inventory()).nodes.map(({ power }) => power)).toEqual(["on", "off"]);
    expect(await project.up("--refresh")).toEqual([]);
    project.configure({ home: { count: 2 } });
    expect(nodes(await project.up())).toEqual(["update home/1"]);
    expect(await groupAlive(folderOf("home/1"))).toBe(true);
    expect(await machines()).toEqual(before);
  });

  it("rolls software out in place, renews a machine but not its identity, and replaces it for another network", async () => {
    project.configure({ home: { count: 1, network: "practice" } });
    await project.up();
    const identity = (): unknown => project.json("nodes", "home", "0", "pulse", "identity.json");
    await until("the node to register", 20_000, () => identity() !== undefined);
    const [first, registered] = [await machines(), identity()];

    const revision = { machine: 1, software: 2 };
    project.configure({ home: { count: 1, network: "practice", revision } });
    expect(nodes(await project.up())).toEqual(["update home/0"]);
    expect(await machines()).toEqual(first);

    project.configure({ home: { count: 1, network: "practice", revision: { ...revision, machine: 2 } } });
    expect(nodes(await project.up())).toEqual(["update home/0"]);
    expect((await machines())["home/0"]).not.toBe(first["home/0"]);
    expect(identity()).toEqual(registered);
    expect(spooled("home/0").length).toBeGreaterThan(2);

    project.configure({ home: { count: 1, network: null } });
    const steps = await project.up();
    expect(nodes(steps).filter((step) => /delete|create/.test(step)).length).toBeGreaterThanOrEqual(2);
    expect(steps.map(({ op, type }) => `${op} ${type}`)).toContain("delete PracticeNetwork");
    expect(identity()).toBeUndefined();
  });
});

describe("what went wrong outside", () => {
  it("is seen by a refresh, and up brings the same machine back", async () => {
    project.configure({ home: { count: 2 } });
    await project.up();
    const before = await machines();
    await kill(folderOf("home/1"));
    expect(await project.preview()).toEqual([]);
    const { output } = await project.pulumi(["refresh", "--yes", "--skip-preview"]);
    expect(output).toMatch(/- 1 deleted/);
    expect(nodes(await project.preview())).toEqual(["create home/1"]);
    expect(nodes(await project.up())).toEqual(["create home/1"]);
    expect(await machines()).toEqual(before);
    expect(await groupAlive(folderOf("home/1"))).toBe(true);
  });

  it("is mended in one up --refresh when a reboot took all, the practice network and its data included", async () => {
    project.configure({ home: { count: 2, network: "practice" } });
    await project.up();
    const identity = (slot: string): unknown => project.json("nodes", "home", slot, "pulse", "identity.json");
    await until("both to register", 20_000, () => identity("0") !== undefined && identity("1") !== undefined);
    const before = [await machines(), identity("0"), identity("1"), project.json("networks", "practice.json")];
    for (const each of [folderOf("home/0"), folderOf("home/1"), join(project.place.home, "practice")]) await kill(each);
    await untilNothingRuns(project.folder);

    expect(nodes(await project.up("--refresh"))).toEqual(expect.arrayContaining(["create home/0", "create home/1"]));
    expect([await machines(), identity("0"), identity("1"), project.json("networks", "practice.json")]).toEqual(before);
  });

  it("leaves the last complete inventory where an up fails half-way, names the fix, and the next up continues", async () => {
    project.configure({ home: { count: 1 } });
    await project.up();
    const before = fileNow();
    mkdirSync(folderOf("home/2"), { recursive: true });
    const strange = JSON.parse(readFileSync(nodePaths(folderOf("home/0")).node, "utf8"));
    writeFileSync(nodePaths(folderOf("home/2")).node, JSON.stringify({ ...strange, key: "other/2" }));

    project.configure({ home: { count: 4 } });
    const { code, output } = await project.pulumi(["up", "--yes", "--skip-preview"]);
    expect(code).not.toBe(0);
    expect(output).toContain(`holds the node other/2, not home/2. Remove that folder, or use another home folder.`);
    expect(output).not.toMatch(/\.[cm]?js:\d+/);
    expect(fileNow()).toEqual(before);

    rmSync(folderOf("home/2"), { recursive: true });
    expect(nodes(await project.up())).toContain("create home/2");
    expect(fileNow().inventory.nodes.map(({ key }) => key)).toEqual(["home/0", "home/1", "home/2", "home/3"]);
  });

  it("leaves nothing half made when an up is interrupted, and the next one makes the rest", async () => {
    project.configure({ home: { count: 6 } });
    const interrupt = new AbortController();
    const running = project.pulumi(["up", "--yes", "--skip-preview", "--parallel", "1"], interrupt.signal);
    const home = join(project.place.home, "nodes", "home");
    await until("a second node to be begun", 60_000, () => existsSync(home) && readdirSync(home).length > 1);
    interrupt.abort();
    const { code } = await running;
    expect(code).not.toBe(0);
    const made = readdirSync(home);
    expect(made.length).toBeLessThan(6);
    for (const slot of made) expect(await groupAlive(folderOf(`home/${slot}`))).toBe(true);

    const steps = nodes(await project.up());
    expect(steps).toHaveLength(6 - made.length);
    expect(Object.keys(await machines())).toHaveLength(6);
    expect(await project.preview()).toEqual([]);
  });
});

describe("an engine that was killed", () => {
  it("leaves no plugin behind and no node half made, and the next up makes the rest with the same machines", async () => {
    project.configure({ home: { count: 4 } });
    const home = join(project.place.home, "nodes", "home");
    const running = project.pulumi(["up", "--yes", "--skip-preview", "--parallel", "1"]);
    await until("a second node to be begun", 60_000, () => existsSync(home) && readdirSync(home).length > 1);
    const engine = processesOf(project.folder).find((line) => /\/pulumi up /.test(line));
    process.kill(Number.parseInt(engine ?? "", 10), "SIGKILL");
    await running;
    const ofEngine = (): string[] =>
      processesOf(project.folder).filter((line) => /plugin\.cjs|cmd\/run|pulumi/.test(line));
    await until("plugin and program to end", 30_000, () => ofEngine().length === 0, ofEngine);
    const made = readdirSync(home);
    for (const slot of made) expect(await groupAlive(folderOf(`home/${slot}`))).toBe(true);
    const ids = made.map(
      (slot) => (project.json("nodes", "home", slot, "node.json") as { machineId: string }).machineId,
    );

    await ensureStack(project.place, "dev", project.folder);
    await project.up();
    expect(Object.values(await machines())).toEqual(expect.arrayContaining(ids));
    expect(Object.keys(await machines())).toHaveLength(4);
    expect(await project.preview()).toEqual([]);
  });
});

describe("a config with mistakes", () => {
  it("fails the preview with every mistake at once and touches nothing", async () => {
    project.configure({ home: { count: 1 } });
    await project.up();
    const set = (path: string, value: string): Promise<unknown> =>
      project.pulumi(["config", "set", "--path", `gradientlab:fleet.groups.home.${path}`, "--", value]);
    for (const [path, value] of [
      ["count", "-1"],
      ["workload", "pulses"],
      ["cuont", "three"],
      ["retired[0]", "4"],
      ["retired[1]", "4"],
    ] as const)
      await set(path, value);
    const { code, output } = await project.pulumi(["preview"]);
    expect(code).not.toBe(0);
    const at = "gradientlab:fleet.groups.home";
    const sentences = [
      "The stack config has 4 mistakes:",
      `  ${at}.count is -1. Write a whole number from 0 to 1000.`,
      `  ${at}.cuont is not a known field. Did you mean count?`,
      `  ${at}.retired.1 is 4, which stands there twice. Name the slot 4 once.`,
      `  ${at}.workload is "pulses", which is not a known workload. Did you mean pulse?`,
    ];
    const diagnostics = output.slice(output.indexOf("Diagnostics:"));
    for (const sentence of sentences) expect(diagnostics.split(sentence)).toHaveLength(2);
    expect(output).not.toMatch(/\.[cm]?[jt]s:\d+/);
    expect(await groupAlive(folderOf("home/0"))).toBe(true);
  });

  it("is refused whatever form the command line gave to a count", async () => {
    for (const [count, shown] of [
      ["2.5", '"2.5"'],
      ["three", '"three"'],
      ["10000", "10000"],
    ] as const) {
      project.configure({ home: { count: 1 } });
      await project.pulumi(["config", "set", "--path", "gradientlab:fleet.groups.home.count", count]);
      const { code, output } = await project.pulumi(["preview"]);
      expect(code).not.toBe(0);
      expect(output).toContain(`gradientlab:fleet.groups.home.count is ${shown}. Write a whole number from 0 to 1000.`);
    }
    await project.pulumi(["config", "set", "gradientlab:count", "1"]);
    const { code, output } = await project.pulumi(["preview"]);
    expect(code).not.toBe(0);
    expect(output).toContain("gradientlab:count is the short form of the config, and gradientlab:fleet is set too.");
  });

  it("warns in the preview that a group with another name is another group", async () => {
    project.configure({ home: { count: 1 }, attic: { count: 2 } });
    await project.up();
    project.configure({ house: { count: 1 }, attic: { count: 2 } });
    const { code, output } = await project.pulumi(["preview"]);
    expect(code).toBe(0);
    expect(output).toContain("The group home is gone from the config and house is new with the same nodes");
    expect(output).not.toContain("The group attic is gone");
  });
});

const onShed = { provider: "shed", size: "bench", workload: "pulse", network: "practice", options: {} };

it("runs on a provider that only the tests have, with its own sites, regions and prices, from the short form too", async () => {
  project.configureFleet({
    schema: 1,
    groups: {
      garden: { ...onShed, region: "garden", count: 1 },
      home: {
        provider: "local",
        size: "process",
        count: 1,
        workload: "pulse",
        network: null,
        options: { everySeconds: 1 },
      },
    },
    phase: "study",
    phases: { study: { budgetUsdPerMonth: 1 } },
  });
  await project.up();
  const { nodes: records, shared } = await project.inventory();
  expect(records).toMatchObject([
    {
      key: "garden/0",
      provider: "shed",
      region: "garden",
      placement: "garden-1",
      price: [{ microUsdPerMonth: 300_000 }],
    },
    { key: "home/0", provider: "local", price: [] },
  ]);
  expect(shared).toMatchObject([{ item: "shed", microUsdPerMonth: 30_000 }]);
  const service = project.json("practice", "state", "service.json") as { origin: string; adminToken: string };
  await until(
    "the node to earn",
    30_000,
    () => project.json("nodes", "garden", "0", "pulse", "app.json") !== undefined,
  );
  const { networkNodeId } = project.json("nodes", "garden", "0", "pulse", "app.json") as { networkNodeId: string };
  const beats = await fetch(`${service.origin}/practice/admin/nodes/${networkNodeId}/heartbeats`, {
    headers: { authorization: `Bearer ${service.adminToken}` },
  });
  expect(await beats.text()).toContain('"counted":true');

  project.configureRaw({ "gradientlab:count": 0, "gradientlab:provider": "shed", "gradientlab:region": "yard" });
  expect(nodes(await project.up())).toEqual(["delete garden/0", "delete home/0"]);
  expect(fileNow().inventory.nodes).toEqual([]);
});

it("ends with an empty inventory, the spool of every node, and no process, account file or folder of a node", async () => {
  project.configure({ home: { count: 2, network: "practice" } });
  await project.up();
  const { code } = await project.pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(code).toBe(0);
  expect(fileNow().inventory).toMatchObject({ stack: "dev", nodes: [] });
  for (const key of ["home/0", "home/1"]) expect(spooled(key).length).toBeGreaterThan(1);
  expect(readdirSync(join(project.place.home, "nodes"))).toEqual([]);
  expect(readdirSync(join(project.place.home, "networks"))).toEqual([]);
  await untilNothingRuns(project.folder);
});

describe("what a fleet may cost", () => {
  const fleetOf = (count: number, more: object = {}): object => ({
    schema: 1,
    groups: { garden: { ...onShed, region: "garden", network: null, count } },
    phase: "study",
    phases: { study: { budgetUsdPerMonth: 1 } },
    ...more,
  });
  it("is shown before the changes, and more than the phase has is refused before anything is made", async () => {
    project.configureFleet(fleetOf(4));
    const preview = await project.pulumi(["preview"]);
    expect(preview.code).not.toBe(0);
    expect(preview.output).toContain("phase study: $1.00 a month");
    expect(preview.output).toContain(
      'The fleet would cost $1.23 in a month of 31 days, and the phase study has $1.00 a month. Set gradientlab:fleet.groups.garden.count to 3. Or set gradientlab:fleet.phases.study.budgetUsdPerMonth to "1.23".',
    );
    expect(preview.output).toContain("a test's own price list, checked 2026-11-01");
    const { code } = await project.pulumi(["up", "--yes", "--skip-preview"]);
    expect(code).not.toBe(0);
    expect(project.json("nodes", "garden", "0", "node.json")).toBeUndefined();
  });

  it("is refused only where a change raises it: what is over may stay, and may always become less", async () => {
    project.configureFleet(fleetOf(3));
    expect(nodes(await project.up())).toHaveLength(3);
    const less = { phases: { study: { budgetUsdPerMonth: "0.5" } } };
    project.configureFleet(fleetOf(3, less));
    const kept = await project.pulumi(["preview"]);
    expect(kept.code).toBe(0);
    expect(kept.output).toMatch(
      /\$0\.93 in a month .* this change does not raise it, so it passes\. The fleet costs \$0\.03 a day\./,
    );
    project.configureFleet(fleetOf(2, less));
    expect(nodes(await project.up())).toEqual(["delete garden/2"]);
    project.configureFleet(fleetOf(3, less));
    const back = await project.pulumi(["preview"]);
    expect(back.code).not.toBe(0);
    expect(back.output).toContain("Set gradientlab:fleet.groups.garden.count to 2.");
    project.configureFleet(fleetOf(0, { phase: undefined, phases: {} }));
    expect(nodes(await project.up())).toEqual(["delete garden/0", "delete garden/1"]);
  });
});
