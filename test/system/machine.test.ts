import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { build as buildPage, pageFolder } from "../../collector/web/build.ts";
import { type CollectorProcess, startCollector } from "../../infra/commands/collector-process.ts";
import { buildWhenStale } from "../../infra/engine/artefact.ts";
import type { NodeRecord, Reach } from "../../infra/inventory.ts";
import { type ProcessIdentity, stillRuns } from "../../infra/process-identity.ts";
import { ServiceInfo } from "../../practice/service-info.ts";
import { processesOf, until } from "../harness/checkout.ts";
import { type Api, apiAt } from "../harness/collector-api.ts";
import { imageLacks } from "../harness/image.ts";
import { makeProject, type Project } from "../harness/project.ts";
import { type Heartbeat, heartbeatsOf } from "../practice/network-process.ts";

/** An emulated machine boots in minutes on an idle host, and in an hour on a very busy one; the image is built in minutes. */
const waitMs = 120 * 60_000;

describe("virtual machines that pulumi up makes", () => {
  const keys = Array.from({ length: Number(process.env.MACHINES ?? 2) }, (_, slot) => `vm/${slot}`);
  let lacking: string | null = null;
  let project: Project;
  let collector: CollectorProcess | undefined;
  let api: Api;
  let nodes: readonly NodeRecord[] = [];
  /** The network's own ids of the nodes, by key. */
  let ids: Readonly<Record<string, string>> = {};

  const home = (): string => project.place.home;
  const folderOf = (key: string): string => join(home(), "machines", key);
  const emulatorOf = (key: string): ProcessIdentity =>
    JSON.parse(readFileSync(join(folderOf(key), "emulator.json"), "utf8")) as ProcessIdentity;
  const sshOf = (key: string): Extract<Reach, { kind: "ssh" }> => {
    const reach = nodes.find((node) => node.key === key)?.reach;
    if (reach?.kind !== "ssh") throw new Error(`${key} is not reached by SSH`);
    return reach;
  };
  const configure = (count: number): void =>
    project.configure({
      vm: {
        size: process.env.MACHINE_SIZE ?? "machine",
        workload: "sentry",
        network: "practice",
        count,
        options: { mode: "vm", everySeconds: 30 },
      },
    });

  const heartbeats = async (key: string): Promise<readonly Heartbeat[]> => {
    const info = ServiceInfo.parse(project.json("practice", "state", "service.json"));
    return (await heartbeatsOf(info, ids[key] ?? "")).heartbeats;
  };

  beforeAll(async () => {
    lacking = await imageLacks();
    if (lacking !== null) return;
    await buildWhenStale(pageFolder, ["collector/web/**/*"], (outDir) => buildPage({ outDir }));
    project = await makeProject();
    configure(keys.length);
    await project.up();
    nodes = (await project.inventory()).nodes;
    collector = startCollector({ home: home(), port: 0, env: project.place.env });
    api = apiAt(await collector.ready);
  }, waitMs);

  beforeEach(({ skip }) => skip(lacking !== null, lacking ?? ""));

  afterAll(async () => {
    await collector?.stop(10_000);
    await project?.remove();
  }, waitMs);

  it(
    "come up by themselves: five layers that are well, told by samples over SSH and by the network",
    async () => {
      await until(
        "nodes that earn",
        waitMs,
        async () => {
          const live = await api.live();
          return (
            live.length === keys.length &&
            live.every(
              ({ layers, points }) =>
                layers.machine.value === "up" &&
                layers.runtime.value === "up" &&
                layers.app.value === "up" &&
                layers.verdict.value === "Good" &&
                layers.reward.value === "earning" &&
                BigInt(points?.units ?? 0) > 0n,
            )
          );
        },
        async () => JSON.stringify(await api.live()),
      );
      const live = await api.live();
      ids = Object.fromEntries(live.map(({ key, networkNodeId }) => [key, networkNodeId ?? ""]));
      expect(new Set(Object.values(ids)).size).toBe(keys.length);
      for (const { key, machineId } of live) {
        expect(machineId).toBe(nodes.find((node) => node.key === key)?.machineId);
        expect((await heartbeats(key)).length).toBeGreaterThan(1);
      }
    },
    waitMs,
  );

  it("are reached by the host keys that they showed on their own consoles", () => {
    for (const key of keys) {
      const { hostKeys, user, host } = sshOf(key);
      expect({ user, host, count: hostKeys.length }).toEqual({ user: "gl-agent", host: "127.0.0.1", count: 1 });
      expect(readFileSync(join(folderOf(key), "console.log"), "latin1")).toContain(hostKeys[0]);
    }
  });

  it(
    "are not touched by an up of the same config",
    async () => {
      const before = keys.map(emulatorOf);
      expect(await project.up()).toEqual([]);
      expect(keys.map(emulatorOf)).toEqual(before);
      expect(before.every(stillRuns)).toBe(true);
    },
    waitMs,
  );

  it(
    "are deleted one by one as the count falls, and leave their history",
    async () => {
      for (const [left, gone] of [...keys.entries()].toReversed()) {
        configure(left);
        const told = (await project.up()).filter(({ type }) => type === "MachineNode");
        expect(told).toEqual([{ op: "delete", type: "MachineNode", name: gone }]);
        expect(processesOf(project.folder).filter((words) => words.includes("qemu-system"))).toHaveLength(left);
        expect(existsSync(folderOf(gone))).toBe(false);
        await until(
          `the history of ${gone}`,
          waitMs,
          async () =>
            (await api.nodes()).some((node) => node.key === gone && node.gone) && (await api.samples(gone)).length > 0,
        );
      }
    },
    waitMs,
  );
});
