import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { asUserData, nodeDocument } from "../../cloud-init/document.ts";
import { accounts } from "../../cloud-init/machine/layout.ts";
import { browserPolicy, updateManifest } from "../../cloud-init/workloads/sentry/policy.ts";
import { readSshKey } from "../../collector/journal/ssh-key.ts";
import { accessKeyFile, ensureAccessKeys, publicAccessKeys } from "../../infra/access-keys.ts";
import { checkout } from "../../infra/engine/environment.ts";
import { agentFile } from "../../infra/home.ts";
import { ExplainedError } from "../../infra/problem.ts";
import { type ProcessIdentity, stillRuns } from "../../infra/process-identity.ts";
import { hostInside } from "../../infra/providers/local/machine/emulator.ts";
import { ensureImage, hostArch, type Image } from "../../infra/providers/local/machine/image.ts";
import { awaitHostKeys, makeMachine, startMachine, stopMachine } from "../../infra/providers/local/machine/machine.ts";
import { tellNetwork } from "../../infra/providers/local/machine/network.ts";
import type { ServiceInfo } from "../../practice/service-info.ts";
import { machineSpec } from "../cloud-init/machine-spec.ts";
import { until } from "../harness/checkout.ts";
import { data, endNetwork, practiceFolder, signIn, startNetwork } from "../practice/network-process.ts";
import { type BenchContext, type Figure, figure, median } from "./figure.ts";

/** Software emulation on a busy host takes its time. */
const waitMs = 60 * 60_000;
/** It starts virtual machines. */
export const byNameOnly = true;
const size = { cpus: 1, memoryMib: 1024, diskGib: 8 } as const;

/**
 * From a virtual machine's power-on to the first heartbeat that the practice network counts, through cloud-init and as the
 * engine's plugin makes it; then for two machines at once. The floor is the same image and the same browser, started by
 * units that were written into its disk by hand, without cloud-init, agent or firewall. The emulator's processor time
 * stands beside the time by the clock: it is what a busy host changes least. A quick look is one machine.
 */
export async function* bench({ scale, say }: BenchContext): AsyncIterable<Figure> {
  let image: Image;
  try {
    image = await ensureImage({ say });
  } catch (error) {
    // As an ordinary user without an image there is nothing to measure, and other benchmarks go on.
    if (!(error instanceof ExplainedError)) throw error;
    say(`${error.message} ${error.fix}`);
    return;
  }
  const n = Math.max(1, Math.round(3 * scale));
  const booted: Boot[] = [];
  const floors: Boot[] = [];
  const pairs: Boot[] = [];
  for (let i = 0; i < n; i++) {
    say(`run ${i + 1} of ${n}: by hand`);
    floors.push(await bootOnce(image, { machines: 1, byHand: true }));
    say(`run ${i + 1} of ${n}: by cloud-init`);
    booted.push(await bootOnce(image, { machines: 1, byHand: false }));
    if (scale < 1) continue;
    say(`run ${i + 1} of ${n}: two machines`);
    pairs.push(await bootOnce(image, { machines: 2, byHand: false }));
  }
  const of = (boots: readonly Boot[], part: keyof Boot): number => median(boots.map((boot) => boot[part]));
  yield figure("boot", "power-on to first heartbeat", {
    value: of(booted, "seconds"),
    unit: "s",
    floor: of(floors, "seconds"),
    n,
  });
  yield figure("boot", "processor time of the emulator until then", {
    value: of(booted, "processorSeconds"),
    unit: "s",
    floor: of(floors, "processorSeconds"),
    n,
  });
  if (pairs.length === 0) return;
  yield figure("boot", "two machines at once, power-on to the first heartbeat of both", {
    value: of(pairs, "seconds"),
    unit: "s",
    floor: of(floors, "seconds"),
    n,
    target: "value <= 240",
  });
}

interface Boot {
  readonly seconds: number;
  /** Of all machines together. */
  readonly processorSeconds: number;
}

/** Boots machines on a practice network of their own until all of them are heard there, and cuts their power. */
async function bootOnce(image: Image, { machines, byHand }: { machines: number; byHand: boolean }): Promise<Boot> {
  const home = mkdtempSync(join(tmpdir(), "gl-boot-"));
  const folder = await practiceFolder();
  const network = await startNetwork(folder, "--seen-as", hostInside);
  const directories = Array.from({ length: machines }, (_, slot) => join(home, "machines", "boot", String(slot)));
  try {
    await ensureAccessKeys(home);
    const images = join(home, "machines", ".images");
    const from = byHand ? diskByHand(image, network.info, join(home, "floor")) : image;
    for (const [slot, directory] of directories.entries())
      await makeMachine(
        directory,
        { key: `boot/${slot}`, machineId: randomUUID(), revision: machineSpec.revision, arch: hostArch, ...size },
        documentOf(home, `boot/${slot}`),
        from,
        images,
      );
    const begun = performance.now();
    const up = directories.map(async (directory) => {
      await startMachine(directory, images);
      if (byHand) return;
      const { sshPort, hostKeys } = await awaitHostKeys(directory, waitMs);
      const reach = { kind: "ssh", host: "127.0.0.1", port: sshPort, user: accounts.agent } as const;
      const operator = readSshKey(accessKeyFile(home, "operator"));
      await tellNetwork({ ...reach, hostKeys: hostKeys ?? [] }, operator, "practice", network.info);
    });
    const token = await signIn(network.info);
    const heard = until("the first heartbeats", waitMs, async () => {
      const body = { page: 1, size: 10, field: "active", direction: 0, active: "", banned: "" };
      const nodes = await data<{ status: string }[]>(network.info, "POST", "/api/sentrynode/list", { token, body });
      return nodes.filter(({ status }) => status === "Good").length >= machines;
    });
    await Promise.all([heard, ...up]);
    const seconds = (performance.now() - begun) / 1000;
    return { seconds, processorSeconds: directories.map(processorSecondsOf).reduce((sum, each) => sum + each, 0) };
  } finally {
    for (const directory of directories) await stopMachine(directory, 0);
    await endNetwork(network, "SIGKILL");
    rmSync(folder, { recursive: true });
    rmSync(home, { recursive: true });
  }
}

function documentOf(home: string, key: string): string {
  const agent = readFileSync(agentFile(checkout), "utf8");
  return asUserData(nodeDocument({ ...machineSpec, key, diskGib: size.diskGib, keys: publicAccessKeys(home), agent }));
}

/** The image with a disk of its own in which units written by hand start the browser on this network. */
function diskByHand(image: Image, { origin, extension, enrolCode }: ServiceInfo, folder: string): Image {
  mkdirSync(folder);
  const made = { ...image, id: "by-hand", disk: join(folder, "disk.raw") };
  execFileSync("cp", ["--sparse=always", image.disk, made.disk]);
  const inside = new URL(origin);
  inside.hostname = hostInside;
  const crx = "/srv/floor/extension.crx";
  const settings = { origin: inside.origin, enrolCode };
  const [browser] = machineSpec.workload.machine.units;
  const words = (browser?.exec ?? []).map((word) =>
    word.replaceAll("{browser}", "/usr/bin/chromium").replaceAll("{node}", "/var/lib/floor"),
  );
  const files: Readonly<Record<string, string | Buffer>> = {
    "/etc/systemd/network/10-floor.network": "[Match]\nName=en*\n[Network]\nDHCP=ipv4\n",
    "/etc/systemd/system/floor.service": `[Unit]
Wants=network-online.target
After=network-online.target
[Service]
User=games
StateDirectory=floor
Environment=HOME=/var/lib/floor
ExecStart=${words.join(" ")}
`,
    "/etc/chromium/policies/managed/floor.json": JSON.stringify(browserPolicy({ extension, settings }, "/srv/floor")),
    "/srv/floor/updates.xml": updateManifest(extension, crx),
    [crx]: readFileSync(extension.crx),
  };
  const commands = Object.entries(files).flatMap(([path, content], index) => {
    const source = join(folder, String(index));
    writeFileSync(source, content, { mode: 0o644 });
    const parents = dirname(path).split("/").slice(1);
    // A folder that is there stays as it is.
    return [...parents.map((_, depth) => `mkdir /${parents.slice(0, depth + 1).join("/")}`), `write ${source} ${path}`];
  });
  commands.push("rm /etc/systemd/system/multi-user.target.wants/cloud-init.target");
  commands.push("symlink /etc/systemd/system/multi-user.target.wants/floor.service /etc/systemd/system/floor.service");
  execFileSync("debugfs", ["-w", "-f", "-", made.disk], {
    input: `${commands.join("\n")}\n`,
    stdio: ["pipe", "ignore", "ignore"],
  });
  return made;
}

/** Returns the processor time that a machine's emulator has used; its threads are counted in hundredths of a second. */
function processorSecondsOf(directory: string): number {
  const emulator = JSON.parse(readFileSync(join(directory, "emulator.json"), "utf8")) as ProcessIdentity;
  if (!stillRuns(emulator)) throw new Error(`The machine of ${directory} went off.`);
  const fields = readFileSync(`/proc/${emulator.pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
