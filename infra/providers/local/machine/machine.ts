import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, link, mkdir, open, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { z } from "zod";
import { readJson, writeJson } from "../../../../cloud-init/agent/folder.ts";
import { lockIsHeld } from "../../../../cloud-init/agent/liveness.ts";
import { ExplainedError } from "../../../problem.ts";
import { identityOf, type ProcessIdentity, stillRuns } from "../../../process-identity.ts";
import { findAccelerator } from "./accelerator.ts";
import { hasSetUp, hostKeysOn, lastWords } from "./console.ts";
import { emulatorWords, machineFiles } from "./emulator.ts";
import { emulatorOf, hostArch, type Image } from "./image.ts";
import { monitorCommand } from "./qmp.ts";

/** A machine as it stands in its folder. Its disk and this file are what it is: as long as they are there, it lives. */
export const MachineFile = z.strictObject({
  schema: z.literal(1),
  key: z.string(),
  machineId: z.uuid(),
  revision: z.strictObject({ machine: z.int(), software: z.int() }),
  arch: z.enum(["x64", "arm64"]).default(hostArch),
  cpus: z.int().min(1),
  memoryMib: z.int().min(256),
  diskGib: z.int().min(6),
  image: z.string(),
  sshPort: z.int(),
  /** Those that the machine showed on its console when it had booted for the first time; null before. */
  hostKeys: z.array(z.string()).nullable(),
});
export type MachineFile = z.infer<typeof MachineFile>;

/** What a machine is wanted to be. */
export type MachineWanted = Omit<MachineFile, "schema" | "image" | "sshPort" | "hostKeys">;

const file = (directory: string): string => join(directory, "machine.json");
const lock = (directory: string): string => join(directory, "lock");
const identity = (directory: string): string => join(directory, "emulator.json");

/** Returns what stands in the machine's folder, or `undefined` where there is none. */
export function readMachine(directory: string): MachineFile | undefined {
  const value = readJson<unknown>(file(directory));
  return value === undefined ? undefined : MachineFile.parse(value);
}

/** Returns whether the machine is on: its emulator is the very process that was started and holds the lock. */
export function machineRuns(directory: string): boolean {
  const emulator = readJson<ProcessIdentity>(identity(directory));
  return emulator !== undefined && stillRuns(emulator) && existsSync(lock(directory)) && lockIsHeld(lock(directory));
}

/**
 * Makes the folder of a machine that has never run: an empty disk over the image, and the seed that cloud-init reads.
 * `images` is a folder of the home's that keeps the image for as long as a machine stands on it.
 */
export async function makeMachine(
  directory: string,
  wanted: MachineWanted,
  userData: string,
  image: Image,
  images: string,
): Promise<MachineFile> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const kept = await keepImage(image, images);
  await run(
    ["qemu-img", "create", "-q", "-f", "qcow2", "-b", kept.disk, "-F", "raw", machineFiles.disk, `${wanted.diskGib}G`],
    directory,
  );
  const seed = join(directory, "seed");
  await mkdir(seed, { recursive: true, mode: 0o700 });
  await writeFile(join(seed, "user-data"), userData, { mode: 0o600 });
  // The instance's id is the machine's: cloud-init sets a machine up once for each.
  await writeFile(join(seed, "meta-data"), `instance-id: ${wanted.machineId}\n`, { mode: 0o600 });
  await run(
    ["genisoimage", "-quiet", "-output", machineFiles.seed, "-volid", "cidata", "-joliet", "-rock", "seed"],
    directory,
  );
  const made: MachineFile = { schema: 1, ...wanted, image: image.id, sshPort: await freePort(), hostKeys: null };
  writeJson(file(directory), made);
  return made;
}

/** Notes the revision that the machine has come to. */
export function noteRevision(directory: string, revision: MachineFile["revision"]): void {
  const machine = readMachine(directory);
  if (machine === undefined) throw new Error(`${directory} holds no machine.`);
  writeJson(file(directory), { ...machine, revision });
}

/** Notes that the machine's size changed; it takes effect when it is started. The disk only grows. */
export async function changeMachine(
  directory: string,
  before: MachineFile,
  wanted: MachineWanted,
): Promise<MachineFile> {
  if (wanted.diskGib < before.diskGib)
    throw new ExplainedError(
      "disk-shrinks",
      `${wanted.key} has a disk of ${before.diskGib} GiB, and ${wanted.diskGib} GiB are asked for.`,
      "A disk only grows: write the old size, or raise the group's revision.machine for a new machine.",
    );
  if (wanted.diskGib > before.diskGib)
    await run(["qemu-img", "resize", "-q", machineFiles.disk, `${wanted.diskGib}G`], directory);
  const changed: MachineFile = { ...before, ...wanted };
  writeJson(file(directory), changed);
  return changed;
}

/**
 * Switches the machine on and returns when its emulator answers; one that is on is left as it is. It outlives whoever
 * switched it on. Throws `machine-failed` with the emulator's words where it does not start.
 */
export async function startMachine(directory: string, images: string): Promise<MachineFile> {
  let machine = readMachine(directory);
  if (machine === undefined) throw new Error(`${directory} holds no machine.`);
  if (machineRuns(directory)) return machine;
  const emulator = emulatorOf(machine.arch);
  const image = imageIn(images, machine.image);
  const accelerator = machine.arch === hostArch ? await findAccelerator(emulator, image, images) : "tcg";
  for (let tries = 1; ; tries++) {
    const words = emulatorWords({ ...machine, accelerator, image });
    const said = await launch(directory, [emulator, ...words]);
    if (said === null) return machine;
    // Another program took the port while the machine was off.
    if (tries === 3 || !/host forwarding rule/.test(said))
      throw new ExplainedError(
        "machine-failed",
        `The machine of ${machine.key} did not start: ${said}`,
        `Its log is ${join(directory, "qemu.log")}.`,
      );
    machine = { ...machine, sshPort: await freePort() };
    writeJson(file(directory), machine);
  }
}

/** Starts the emulator and returns null when its monitor answers, else what it said as it ended. */
async function launch(directory: string, argv: readonly string[]): Promise<string | null> {
  const log = await open(join(directory, "qemu.log"), "a", 0o600);
  const from = (await log.stat()).size;
  await rm(join(directory, machineFiles.monitor), { force: true });
  const child = spawn("flock", ["-F", "-w", "2", "-E", "75", lock(directory), ...argv], {
    cwd: directory,
    detached: true,
    stdio: ["ignore", log.fd, log.fd],
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
  });
  let ended: string | undefined;
  child.once("error", (error) => {
    ended = error.message;
  });
  child.once("exit", (code, signal) => {
    ended = code === 75 ? "its lock is held by another process" : (signal ?? `exit code ${code}`);
  });
  await log.close();
  // The machine outlives whoever started it.
  child.unref();
  // The same process becomes the emulator, once it holds the lock.
  const started = child.pid === undefined ? undefined : identityOf(child.pid);
  if (started !== undefined) writeJson(identity(directory), started);
  const deadline = performance.now() + 60_000;
  while (ended === undefined && performance.now() < deadline) {
    if (existsSync(join(directory, machineFiles.monitor))) {
      try {
        await monitorCommand(join(directory, machineFiles.monitor), "query-status");
        return null;
      } catch (error) {
        if (!(error instanceof ExplainedError)) throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (ended === undefined && started !== undefined && stillRuns(started)) process.kill(started.pid, "SIGKILL");
  const said = (await readFile(join(directory, "qemu.log"), "utf8")).slice(from).trim();
  return said === "" ? (ended ?? "its monitor did not answer") : said;
}

/**
 * Waits until the machine has shown its host keys on its console, and notes them: who reads them there reads them from
 * the machine itself. It lets nobody else in by then, and is still being set up. Returns the machine. Throws
 * `machine-failed` where it does not come so far within `deadlineMs` or goes off before.
 */
export async function awaitHostKeys(directory: string, deadlineMs: number): Promise<MachineFile> {
  const known = readMachine(directory);
  if (known === undefined) throw new Error(`${directory} holds no machine.`);
  if (known.hostKeys !== null) return known;
  const hostKeys = await onConsole(directory, known, deadlineMs, hostKeysOn);
  const machine: MachineFile = { ...known, hostKeys: [...hostKeys] };
  writeJson(file(directory), machine);
  return machine;
}

/** Waits until the machine's first boot has set it up. Throws `machine-failed` as `awaitHostKeys` does. */
export async function awaitSetUp(directory: string, deadlineMs: number): Promise<void> {
  const known = readMachine(directory);
  if (known === undefined) throw new Error(`${directory} holds no machine.`);
  await onConsole(directory, known, deadlineMs, (console) => hasSetUp(console) || undefined);
}

/** Returns whether the machine's first boot set it up; one that goes off before is not whole. */
export async function machineIsSetUp(directory: string): Promise<boolean> {
  return hasSetUp(await consoleOf(directory));
}

async function onConsole<T>(
  directory: string,
  { key }: MachineFile,
  deadlineMs: number,
  find: (console: string) => T | undefined,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const runs = machineRuns(directory);
    const console = await consoleOf(directory);
    const found = find(console);
    if (found !== undefined) return found;
    const why = !runs
      ? "it went off before it had booted"
      : performance.now() > deadline
        ? `it had not booted after ${Math.round(deadlineMs / 60_000)} minutes`
        : undefined;
    if (why !== undefined)
      throw new ExplainedError(
        "machine-failed",
        `The machine of ${key} did not come up: ${why}. Its console ends with: ${lastWords(console)}`,
        `Its console is ${join(directory, machineFiles.console)}.`,
      );
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function consoleOf(directory: string): Promise<string> {
  try {
    return await readFile(join(directory, machineFiles.console), "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/**
 * Switches the machine off and returns when its emulator is gone: its power button is pressed, and after `deadlineMs` its
 * power is cut. A machine that is off is no mistake. Throws `machine-stuck` where even that does not end it.
 */
export async function stopMachine(directory: string, deadlineMs: number): Promise<void> {
  if (!machineRuns(directory)) return;
  const emulator = readJson<ProcessIdentity>(identity(directory)) as ProcessIdentity;
  const deadline = performance.now() + deadlineMs;
  try {
    await monitorCommand(join(directory, machineFiles.monitor), "system_powerdown");
    while (stillRuns(emulator) && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 100));
  } catch (error) {
    // An emulator that does not listen has its power cut, and so has one that went off just now.
    if (!(error instanceof ExplainedError)) throw error;
  }
  if (stillRuns(emulator)) process.kill(emulator.pid, "SIGKILL");
  const last = performance.now() + 10_000;
  while (stillRuns(emulator)) {
    if (performance.now() > last)
      throw new ExplainedError(
        "machine-stuck",
        `The emulator ${emulator.pid} of ${directory} could not be ended.`,
        "End it by hand, or restart this machine.",
      );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Removes the folder of a machine that is off, and its parent where that is empty then. */
export async function removeMachine(directory: string): Promise<void> {
  if (machineRuns(directory))
    throw new ExplainedError("machine-runs", `The machine of ${directory} is on.`, "Switch it off first.");
  await rm(directory, { recursive: true, force: true });
  try {
    await rmdir(dirname(directory));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") throw error;
  }
}

function imageIn(images: string, id: string): Image {
  const at = (name: string): string => join(images, id, name);
  return { id, disk: at("disk.raw"), kernel: at("vmlinuz") };
}

/** Keeps an image beside the machines, because a disk is nothing without it and a cache may be emptied at any time. */
async function keepImage(image: Image, images: string): Promise<Image> {
  const kept = imageIn(images, image.id);
  await mkdir(dirname(kept.disk), { recursive: true, mode: 0o700 });
  for (const name of ["disk", "kernel"] as const) {
    if (existsSync(kept[name])) continue;
    try {
      await link(image[name], kept[name]);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") continue;
      if (code !== "EXDEV" && code !== "EPERM" && code !== "EMLINK") throw error;
      const part = `${kept[name]}.${process.pid}.part`;
      if (name === "disk") await run(["cp", "--sparse=always", image.disk, part], images);
      else await copyFile(image[name], part);
      await rename(part, kept[name]);
    }
  }
  return kept;
}

async function run(argv: readonly string[], cwd: string): Promise<void> {
  const [program = "", ...words] = argv;
  const child = spawn(program, words, { cwd, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const code = await new Promise<number>((resolve) => {
    child.once("error", (error) => {
      said += error.message;
      resolve(127);
    });
    child.once("close", (ended) => resolve(ended ?? 1));
  });
  if (code !== 0)
    throw new ExplainedError(
      "machine-failed",
      `${program} ended with ${code}: ${said.trim().slice(-400)}`,
      "Mend what it names and run it again.",
    );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}
