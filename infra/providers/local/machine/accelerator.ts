import { spawn } from "node:child_process";
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { bootId } from "../../../process-identity.ts";
import { hostArch, type Image } from "./image.ts";

/** What runs a machine's instructions: the processor itself, or software. */
export type Accelerator = "kvm" | "tcg";

const probeMs = 20_000;

/**
 * Returns `kvm` where a guest really runs on it, else `tcg`. A device file and the right to open it are not enough: inside
 * other virtual machines guests crash. So the image's kernel is started without a disk, and has to come as far as
 * missing it. The answer is kept in `folder` for this boot of this kernel.
 */
export async function findAccelerator(emulator: string, image: Image, folder: string): Promise<Accelerator> {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch (error) {
    if (!["ENOENT", "EACCES", "EPERM", "ENXIO"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return "tcg";
  }
  const file = join(folder, "accelerator.json");
  const machine = `${release()} ${bootId()}`;
  const known = readKnown(file);
  if (known?.machine === machine) return known.accelerator;
  const accelerator = (await guestRuns(emulator, image)) ? "kvm" : "tcg";
  writeFileSync(file, `${JSON.stringify({ machine, accelerator })}\n`, { mode: 0o600 });
  return accelerator;
}

interface Known {
  readonly machine: string;
  readonly accelerator: Accelerator;
}

function readKnown(file: string): Known | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Known;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function guestRuns(emulator: string, { kernel }: Image): Promise<boolean> {
  const console = hostArch === "arm64" ? "ttyAMA0" : "ttyS0";
  const child = spawn(
    emulator,
    [
      ...["-machine", hostArch === "arm64" ? "virt" : "q35", "-accel", "kvm", "-cpu", "host", "-m", "256"],
      ...["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", kernel],
      ...["-append", `console=${console} panic=-1`],
    ],
    { stdio: ["ignore", "pipe", "ignore"], timeout: probeMs, killSignal: "SIGKILL" },
  );
  let said = "";
  child.stdout.setEncoding("latin1").on("data", (text: string) => {
    said += text;
  });
  return new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("close", () => resolve(said.includes("Unable to mount root fs")));
  });
}
