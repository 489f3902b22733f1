import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findBrowser } from "../../infra/browser.ts";
import { stillRuns } from "../../infra/process-identity.ts";
import { type Checkout, copyOfCheckout, processesOf, type RunningStart, until } from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { machineWideState } from "../harness/machine-wide.ts";
import { browserOf, nodeFolder, supervisorOf } from "../harness/node-processes.ts";

const key = "local/0";
const groups = {
  local: {
    provider: "local",
    size: "process",
    count: 1,
    workload: "sentry",
    network: "practice",
    options: { everySeconds: 5 },
  },
};

interface Side {
  readonly checkout: Checkout;
  start: RunningStart;
  api: Api;
}

/** What `service.json` of a practice network says that is looked at here. */
interface Service {
  readonly origin: string;
  readonly extension: { readonly id: string };
}

describe("two checkouts on one machine", () => {
  const sides: Side[] = [];
  const before = machineWideState();
  let policyFolder: string;

  const serviceOf = ({ checkout }: Side): Service =>
    JSON.parse(readFileSync(join(checkout.home, "practice", "state", "service.json"), "utf8")) as Service;
  const started = async (checkout: Checkout): Promise<Side> => {
    const start = checkout.start("--port", "0");
    return { checkout, start, api: apiAt(await start.url) };
  };
  const isLive = async ({ api }: Side): Promise<boolean> => {
    const [node, ...others] = await api.live();
    return others.length === 0 && node?.layers.app.value === "up" && node.layers.verdict.value === "Good";
  };
  /** The policies and extensions that the browser of a side really has. */
  const browserOfSide = ({ checkout }: Side): { policies: Record<string, unknown>; extensions: string[] } => {
    const pid = browserOf(checkout.home, key);
    if (pid === undefined) throw new Error(`${key} of ${checkout.folder} has no browser`);
    const seen = join(`/proc/${pid}/root`, policyFolder);
    const files = readdirSync(seen, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"));
    const policies = files.map((name) => [name, JSON.parse(readFileSync(join(seen, name), "utf8"))]);
    const installed = join(nodeFolder(checkout.home, key), "profile", "Default", "Extensions");
    return {
      policies: Object.fromEntries(policies),
      extensions: readdirSync(installed).filter((name) => /^[a-p]{32}$/.test(name)),
    };
  };

  beforeAll(async () => {
    policyFolder = (await findBrowser()).policyFolder;
    const copies = [await copyOfCheckout({ groups }), await copyOfCheckout({ groups })];
    for (const checkout of copies) sides.push({ checkout, start: checkout.start("--port", "0"), api: apiAt("") });
    await Promise.all(sides.map(async (side) => Object.assign(side, { api: apiAt(await side.start.url) })));
  }, 240_000);

  afterAll(async () => {
    for (const { start, checkout } of sides) {
      await start.interrupt();
      await checkout.remove();
    }
  }, 120_000);

  it("are both live, each with an extension and a practice network of its own", async () => {
    const [one, other] = sides.map(serviceOf);
    expect(one?.extension.id).not.toBe(other?.extension.id);
    expect(one?.origin).not.toBe(other?.origin);
    for (const side of sides)
      await until(
        "a live node",
        120_000,
        () => isLive(side),
        async () => JSON.stringify(await side.api.live()),
      );
    const ids = await Promise.all(sides.map(async ({ api }) => (await api.live())[0]?.networkNodeId));
    expect(new Set(ids).size).toBe(2);
  }, 200_000);

  it("give each browser its own policy only, and so its own extension only", () => {
    for (const side of sides) {
      const { id } = serviceOf(side).extension;
      const { policies, extensions } = browserOfSide(side);
      expect(Object.keys(policies)).toEqual(["managed/gradientlab.json"]);
      const policy = policies["managed/gradientlab.json"] as {
        ExtensionSettings: Record<string, { installation_mode: string }>;
        "3rdparty": { extensions: Record<string, { origin: string }> };
      };
      expect(Object.keys(policy.ExtensionSettings).toSorted()).toEqual(["*", id]);
      expect(policy.ExtensionSettings[id]?.installation_mode).toBe("force_installed");
      expect(Object.entries(policy["3rdparty"].extensions).map(([of, { origin }]) => [of, origin])).toEqual([
        [id, serviceOf(side).origin],
      ]);
      expect(extensions).toEqual([id]);
    }
  });

  it("leave the machine's own policies and accounts as they are while they run", () => {
    expect(machineWideState()).toEqual(before);
  });

  it("do not notice when the other's npm start is killed, whose nodes run on and whose collector ends", async () => {
    const [killed, other] = sides as [Side, Side];
    const node = supervisorOf(killed.checkout.home, key);
    process.kill(-(killed.start.child.pid as number), "SIGKILL");
    await killed.start.exited;
    const collectorParts = (): string[] =>
      processesOf(killed.checkout.folder).filter((words) => /collector\/main\.ts|postgres/.test(words));
    await until("its collector and database to end", 20_000, () => collectorParts().length === 0, collectorParts);
    expect(stillRuns(node)).toBe(true);
    expect(browserOf(killed.checkout.home, key)).toBeDefined();
    expect(machineWideState()).toEqual(before);
    const last = (await other.api.live())[0]?.lastSampleAt ?? "";
    await until("the other's next sample", 30_000, async () => {
      const [now] = await other.api.live();
      return (now?.lastSampleAt ?? "") > last;
    });
    expect(await isLive(other)).toBe(true);
  }, 60_000);

  it("start again after that kill, with the same node", async () => {
    const [killed] = sides as [Side, Side];
    const node = supervisorOf(killed.checkout.home, key);
    Object.assign(killed, await started(killed.checkout));
    expect(supervisorOf(killed.checkout.home, key)).toEqual(node);
    await until("the node to be live again", 60_000, () => isLive(killed));
  }, 120_000);

  it("leave the other's fleet alone on npm run down, and the machine as it was", async () => {
    const [gone, other] = sides as [Side, Side];
    await gone.checkout.sh("npm run --silent down");
    expect(await gone.start.exited).toBe(0);
    expect(stillRuns(supervisorOf(other.checkout.home, key))).toBe(true);
    expect(await isLive(other)).toBe(true);
    expect(machineWideState()).toEqual(before);
  }, 60_000);
});
