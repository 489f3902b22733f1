import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { accounts } from "../../../../cloud-init/machine/layout.ts";
import { agentRunBy } from "../../../../collector/journal/agent.ts";
import { sshVerbs } from "../../../../collector/journal/ssh.ts";
import { readSshKey, type SshKey } from "../../../../collector/journal/ssh-key.ts";
import { accessKeyFile } from "../../../access-keys.ts";
import { drainAgent } from "../../../drain.ts";
import { agentFile, checkoutOf } from "../../../home.ts";
import { NodeKey, type Reach } from "../../../inventory.ts";
import {
  type Around,
  changedFields,
  orUnknown,
  type Properties,
  type Resource,
  unknownValue,
} from "../../../plugin/resource.ts";
import { ExplainedError } from "../../../problem.ts";
import { ensureImage, hostArch } from "../machine/image.ts";
import {
  awaitHostKeys,
  awaitSetUp,
  changeMachine,
  type MachineFile,
  machineIsSetUp,
  machineRuns,
  makeMachine,
  noteRevision,
  readMachine,
  removeMachine,
  startMachine,
  stopMachine,
} from "../machine/machine.ts";
import { bringAgent, tellNetwork } from "../machine/network.ts";
import { readService } from "./practice-network.ts";

const Inputs = z.strictObject({
  node: z.strictObject({
    // The collector's own machine is no node, and has no journal.
    key: NodeKey.or(z.literal("collector")),
    power: z.enum(["on", "off"]),
    revision: z.strictObject({ machine: z.int(), software: z.int() }),
    arch: z.enum(["x64", "arm64"]),
    cpus: z.int().min(1),
    memoryMib: z.int().min(256),
    diskGib: z.int().min(6),
  }),
  userData: z.string(),
  network: z.string().nullable(),
  service: z
    .strictObject({ origin: orUnknown(z.url()), extensionVersion: orUnknown(z.string()) })
    .or(z.literal(unknownValue))
    .optional(),
});
type Inputs = z.infer<typeof Inputs>;

/** How long a machine may take to boot for the first time: in software it takes minutes, and on a very busy host an hour. */
const firstBootMs = 90 * 60_000;
/** How long it may take to go off by its power button, and its last journal lines to arrive. */
const powerOffMs = 90_000;
const drainMs = 120_000;

const folderOf = (home: string, key: string): string => join(home, "machines", ...key.split("/"));
const imagesIn = (home: string): string => join(home, "machines", ".images");

/**
 * A node as an emulated machine that boots the same document as a machine in a cloud. Its folder is its disk: as long as
 * it is there, a node that is made again is the same machine. What it boots from is read once; only another machine
 * revision makes another machine of it, with a new id and an empty disk.
 */
export const machineNode: Resource<Inputs> = {
  inputs: Inputs,
  outputs: ["machineId", "reach"],

  difference(before, wanted) {
    const { node: old, network, service } = before as Partial<Inputs>;
    // Machines that were made before this one's architecture could be chosen have this machine's.
    const node = changedFields({ arch: hostArch, ...old }, wanted.node).map((name) => `node.${name}`);
    const told = changedFields({ network, service }, { network: wanted.network, service: wanted.service });
    // Another network is another node on it: it gets a machine of its own. Another processor is another machine.
    const another = [...node, ...told].filter((name) => ["node.key", "node.arch", "network"].includes(name));
    return { updates: [...node, ...told].filter((name) => !another.includes(name)), replaces: another };
  },

  async create(wanted, around) {
    const directory = folderOf(around.home, wanted.node.key);
    const adopted = readMachine(directory) !== undefined;
    try {
      return { id: wanted.node.key, outputs: await settle(wanted, around) };
    } catch (error) {
      if (!adopted) {
        await stopMachine(directory, 0);
        await removeMachine(directory);
      }
      throw error;
    }
  },

  read(_id, inputs, _outputs, { home }) {
    const { node } = Inputs.parse(inputs);
    const directory = folderOf(home, node.key);
    const machine = readMachine(directory);
    if (machine === undefined || (node.power === "on" && !machineRuns(directory))) return Promise.resolve(null);
    return Promise.resolve(outputsOf(machine));
  },

  async update(_id, wanted, around) {
    const directory = folderOf(around.home, wanted.node.key);
    const before = readMachine(directory);
    if (before !== undefined && before.revision.machine !== wanted.node.revision.machine) {
      await drain(directory, before, around);
      await stopMachine(directory, powerOffMs);
      await rm(directory, { recursive: true });
    }
    return await settle(wanted, around);
  },

  async delete(id, _inputs, around) {
    const directory = folderOf(around.home, id);
    const machine = readMachine(directory);
    if (machine !== undefined) {
      await drain(directory, machine, around);
      await stopMachine(directory, powerOffMs);
    }
    await removeMachine(directory);
  },
};

/** Brings the machine to what is wanted, on or off, and returns the resource's outputs. */
async function settle({ node, userData, network, service }: Inputs, { home, show }: Around): Promise<Properties> {
  const { key, power, revision, arch, cpus, memoryMib, diskGib } = node;
  const directory = folderOf(home, key);
  const images = imagesIn(home);
  const before = readMachine(directory);
  if (before === undefined) {
    // What a run that was cut left behind is no machine yet.
    await rm(directory, { recursive: true, force: true });
    const wanted = { key, machineId: randomUUID(), revision, arch, cpus, memoryMib, diskGib };
    await makeMachine(directory, wanted, userData, await ensureImage({ arch, begins: show }), images);
  } else {
    // The revision is noted when the machine is at it.
    const wanted = { key, machineId: before.machineId, revision: before.revision, arch, cpus, memoryMib, diskGib };
    const resized = cpus !== before.cpus || memoryMib !== before.memoryMib || diskGib !== before.diskGib;
    if ((power === "off" || resized) && machineRuns(directory)) {
      await awaitSetUp(directory, firstBootMs);
      await stopMachine(directory, powerOffMs);
    }
    await changeMachine(directory, before, wanted);
    if (power === "off" && before.hostKeys !== null && (await machineIsSetUp(directory))) return outputsOf(before);
  }
  await startMachine(directory, images);
  const machine = await awaitHostKeys(directory, firstBootMs);
  const operator = (): SshKey => readSshKey(accessKeyFile(home, "operator"));
  if (machine.revision.software !== revision.software) {
    const program = readFileSync(agentFile(checkoutOf(import.meta.dirname)), "utf8");
    await bringAgent(reachOf(machine), operator(), program, revision.software);
    noteRevision(directory, revision);
  }
  // While the machine is still being set up: what it starts then is started once, with its network.
  if (network !== null && service !== undefined) {
    await tellNetwork(reachOf(machine), operator(), network, await readService(home));
  }
  await awaitSetUp(directory, firstBootMs);
  if (power === "off") await stopMachine(directory, powerOffMs);
  return outputsOf(machine);
}

function outputsOf(machine: MachineFile): Properties {
  return { machineId: machine.machineId, reach: reachOf(machine) };
}

function reachOf({ sshPort, hostKeys }: MachineFile): Extract<Reach, { kind: "ssh" }> {
  return { kind: "ssh", host: "127.0.0.1", port: sshPort, user: accounts.agent, hostKeys: hostKeys ?? [] };
}

/** Saves the journal where the collector finds it when the node is gone; a machine that does not answer keeps nobody. */
async function drain(directory: string, machine: MachineFile, { home, say }: Around): Promise<void> {
  const { key, machineId, hostKeys } = machine;
  if (!NodeKey.safeParse(key).success) return;
  const file = accessKeyFile(home, "collector");
  if (hostKeys === null || !existsSync(file) || !machineRuns(directory)) {
    say(`The journal of ${key} was not saved: its machine is off.`);
    return;
  }
  const agent = agentRunBy(sshVerbs(reachOf(machine), readSshKey(file)));
  try {
    await drainAgent(agent, { key, machineId }, join(home, "spool", ...key.split("/")), AbortSignal.timeout(drainMs));
  } catch (error) {
    if (!(error instanceof ExplainedError)) throw error;
    say(`The journal of ${key} was not saved: ${error.message}`);
  } finally {
    agent.close();
  }
}
