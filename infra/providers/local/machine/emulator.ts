import type { MachineArch } from "../../../../cloud-init/document.ts";
import type { Accelerator } from "./accelerator.ts";
import type { Image } from "./image.ts";

/** All that decides how a machine's emulator is started. Paths without a folder are relative to the machine's. */
export interface EmulatedMachine {
  readonly arch: MachineArch;
  readonly accelerator: Accelerator;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly image: Image;
  readonly sshPort: number;
}

/** This machine, as an emulated one reaches it: the emulator's NAT hands what is sent there on to the loopback address. */
export const hostInside = "10.0.2.2";
/** The emulator's own resolver, as an emulated machine reaches it. */
export const resolverInside = "10.0.2.3";

/** The files of a machine's folder that its emulator opens. */
export const machineFiles = {
  disk: "disk.qcow2",
  seed: "seed.iso",
  console: "console.log",
  monitor: "monitor",
} as const;

/**
 * What software emulates of a processor: all that it can, but for what only costs there. Fast string operations are one
 * byte at a time, and both the kernel and the C library prefer them where a processor has them; a fifth level of page
 * tables and guards on access are looked at in each access; a processor that could run guests has modules loaded for it.
 */
const emulated = {
  x64: "max,erms=off,fsrm=off,la57=off,smap=off,smep=off,pku=off,svm=off",
  // The architecture's own cipher for signed pointers is costly to compute, and nothing asks for it.
  arm64: "max,pauth-impdef=on",
} as const;

/**
 * Returns the emulator's words. The machine sees its disk and its seed on one NVMe controller, which its kernel knows
 * without modules, a network card behind the emulator's own NAT (this machine is `hostInside` there, and only SSH leads in,
 * from the loopback address), randomness, and a serial console that is written to a file.
 * Options: https://www.qemu.org/docs/master/system/invocation.html
 */
export function emulatorWords(machine: EmulatedMachine): readonly string[] {
  const { arch, accelerator, cpus, memoryMib, image, sshPort } = machine;
  const kvm = accelerator === "kvm";
  const console = arch === "arm64" ? "ttyAMA0" : "ttyS0";
  return [
    ...["-machine", arch === "arm64" ? "virt" : "q35"],
    ...["-accel", kvm ? "kvm" : "tcg,thread=multi", "-cpu", kvm ? "host" : emulated[arch]],
    ...["-smp", String(cpus), "-m", String(memoryMib), "-nodefaults", "-display", "none"],
    ...["-kernel", image.kernel],
    ...["-append", [...kernelWords, `console=${console}`, ...(kvm ? [] : emulatedKernelWords)].join(" ")],
    ...["-drive", `file=${machineFiles.disk},if=none,id=disk,format=qcow2,discard=unmap`],
    ...["-drive", `file=${machineFiles.seed},if=none,id=seed,format=raw,readonly=on`],
    ...["-device", "nvme,id=nvme,serial=gradientlab", "-device", "nvme-ns,drive=disk,bus=nvme,nsid=1"],
    ...["-device", "nvme-ns,drive=seed,bus=nvme,nsid=2"],
    ...["-netdev", `user,id=net0,hostfwd=tcp:127.0.0.1:${sshPort}-:22`, "-device", "virtio-net-pci,netdev=net0"],
    ...["-device", "virtio-rng-pci"],
    // Appended to: what a machine said before it was switched off is evidence.
    ...["-chardev", `file,id=console,path=${machineFiles.console},append=on`, "-serial", "chardev:console"],
    ...["-qmp", `unix:${machineFiles.monitor},server=on,wait=off`],
  ];
}

/**
 * On a host whose own disk is busy a flush may take longer than the half minute after which the kernel gives a disk up, and
 * with it all that is mounted. There is no other to go to: it waits, as clouds with such disks advise.
 * https://docs.aws.amazon.com/ebs/latest/userguide/timeout-nvme-ebs-volumes.html
 */
const kernelWords = [
  "root=/dev/nvme0n1",
  "rootwait",
  "nvme_core.io_timeout=4294967295",
  "ds=nocloud",
  "quiet",
] as const;

/**
 * Guests of an emulator share nothing with strangers: guards against that would cost every system call. Its clock is the
 * host's own, and one that is compared with a slower one on a busy host would be given up for that. Nor is the timer
 * tried by counting how often it rings: on a busy host it rings too seldom, and the kernel would not go on.
 */
const emulatedKernelWords = ["mitigations=off", "tsc=reliable", "no_timer_check"] as const;
