import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { nodePaths, writeJson } from "../../../../cloud-init/agent/folder.ts";
import { journalExtent } from "../../../../cloud-init/agent/journal.ts";
import { checkoutOf } from "../../../home.ts";
import { NodeKey } from "../../../inventory.ts";
import {
  type Around,
  changedFields,
  orUnknown,
  type Properties,
  type Resource,
  unknownValue,
} from "../../../plugin/resource.ts";
import { ExplainedError } from "../../../problem.ts";
import { findWorkloads, workloadFolders } from "../../../workloads.ts";
import { drainJournal, GroupSpec, groupAlive, readSpec, removeGroup, startGroup, stopGroup } from "../process/group.ts";
import { readService } from "./practice-network.ts";

const Revision = z.strictObject({ machine: z.int(), software: z.int() });

const Inputs = z.strictObject({
  node: z.strictObject({
    key: NodeKey,
    workload: z.string(),
    boot: z.string(),
    network: z.string().nullable(),
    power: z.enum(["on", "off"]),
    revision: Revision,
    everySeconds: z.int().min(1),
  }),
  service: z
    .strictObject({ origin: orUnknown(z.url()), extensionVersion: orUnknown(z.string()) })
    .or(z.literal(unknownValue))
    .optional(),
});
type Inputs = z.infer<typeof Inputs>;

const Boot = GroupSpec.pick({ units: true, needs: true, probes: true, heartbeatStaleSeconds: true }).extend({
  files: z.array(z.string()),
});

/** How long the processes of a node may take to end by themselves. */
const stopMs = 30_000;

/**
 * A node as a supervised group of processes. Its folder is its disk: as long as it is there, a node that is made again
 * is the same machine with the same journal and profile. Deleting it saves its journal and removes the folder.
 */
export const processNode: Resource<Inputs> = {
  inputs: Inputs,
  outputs: ["machineId", "reach"],

  difference(before, wanted) {
    const { node: old, service: oldService } = before as Partial<Inputs>;
    const node = changedFields(old ?? {}, wanted.node);
    const another = node.filter((name) => ["key", "workload", "network"].includes(name)).map((name) => `node.${name}`);
    const updates = node.map((name) => `node.${name}`).filter((name) => !another.includes(name));
    const service = changedFields({ service: oldService }, { service: wanted.service });
    return { updates: [...updates, ...service], replaces: another };
  },

  async create(wanted, around) {
    const directory = folderOf(around.home, wanted.node.key);
    const adopted = existsSync(directory);
    try {
      const outputs = await settle(wanted, around, randomUUID());
      return { id: wanted.node.key, outputs };
    } catch (error) {
      if (!adopted) {
        await stopGroup(directory, { deadlineMs: stopMs });
        await removeGroup(directory);
      }
      throw error;
    }
  },

  async read(_id, inputs, outputs, { home }) {
    const { node } = Inputs.parse(inputs);
    const directory = folderOf(home, node.key);
    const spec = existsSync(directory) ? await readSpec(directory) : undefined;
    if (spec === undefined) return null;
    if (node.power === "on" && !(await groupAlive(directory))) return null;
    return { ...pick(outputs), machineId: spec.machineId };
  },

  async update(_id, wanted, around) {
    const directory = folderOf(around.home, wanted.node.key);
    const before = existsSync(directory) ? await readSpec(directory) : undefined;
    if (before !== undefined && before.revision.machine !== wanted.node.revision.machine)
      await renewMachine(around.home, directory, before);
    return await settle(wanted, around, before?.machineId ?? randomUUID());
  },

  async delete(id, _inputs, { home }) {
    const directory = folderOf(home, id);
    if (!existsSync(directory)) return;
    await stopGroup(directory, { deadlineMs: stopMs });
    await saveJournal(home, directory, id);
    await removeGroup(directory);
  },
};

function folderOf(home: string, key: string): string {
  return join(home, "nodes", ...key.split("/"));
}

/** Puts what the node's journal holds where the collector finds it when the node is gone. */
async function saveJournal(home: string, directory: string, key: string): Promise<void> {
  const folder = nodePaths(directory).journal;
  const journal = existsSync(folder) ? journalExtent(folder)?.journal : undefined;
  if (journal !== undefined) await drainJournal(directory, join(home, "spool", ...key.split("/"), `${journal}.jsonl`));
}

/** Makes another machine of a node's folder: it has a new id and journal; the profile, and so the identity, goes on. */
async function renewMachine(home: string, directory: string, before: GroupSpec): Promise<void> {
  const paths = nodePaths(directory);
  await stopGroup(directory, { deadlineMs: stopMs });
  await saveJournal(home, directory, before.key);
  await rm(paths.journal, { recursive: true, force: true });
  writeJson(paths.node, { ...before, machineId: randomUUID() });
}

function pick({ machineId, reach }: Properties): Properties {
  return { machineId, reach };
}

/** Brings the group to what is wanted, on or off, and returns the resource's outputs. */
async function settle(wanted: Inputs, around: Around, machineId: string): Promise<Properties> {
  const { key, power } = wanted.node;
  const directory = folderOf(around.home, key);
  const known = existsSync(directory) ? await readSpec(directory) : undefined;
  if (power === "off" && known !== undefined) {
    await stopGroup(directory, { deadlineMs: stopMs });
    return { machineId: known.machineId, reach: { kind: "process", directory } };
  }
  const started = await startGroup(around.home, directory, await specOf(wanted, around, machineId));
  if (started.note !== null) around.say(started.note);
  if (power === "off") await stopGroup(directory, { deadlineMs: stopMs });
  return { machineId: started.machineId, reach: { kind: "process", directory } };
}

async function specOf({ node, service }: Inputs, { home }: Around, machineId: string): Promise<GroupSpec> {
  const { files, ...boot } = Boot.parse(JSON.parse(node.boot));
  const workload = findWorkloads(workloadFolders(checkoutOf(import.meta.dirname))).get(node.workload);
  if (workload === undefined)
    throw new ExplainedError(
      "no-workload",
      `The workload ${node.workload} of ${node.key} is not in this checkout.`,
      "Restore its folder under cloud-init/workloads.",
    );
  const info = node.network !== null && service !== undefined ? await readService(home) : undefined;
  return {
    schema: 1,
    key: node.key,
    machineId,
    everySeconds: node.everySeconds,
    workload: node.workload,
    revision: node.revision,
    ...boot,
    files: files.map((file) => ({ from: join(workload.folder, file), to: join("workload", file) })),
    network:
      node.network === null || info === undefined
        ? null
        : {
            name: node.network,
            origin: info.origin,
            extension: boot.needs.includes("browser") ? info.extension : null,
            settings: { origin: info.origin, enrolCode: info.enrolCode },
          },
  };
}
