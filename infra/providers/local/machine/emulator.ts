import type { Accelerator } from "./accelerator.ts";
import type { Image } from "./image.ts";

/** All that decides how a machine's emulator is started. Paths without a folder are relative to the machine's. */
export interface EmulatedMachine {
  readonly arch: "x64" | "arm64";
  readonly accelerator: Accelerator;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly image: Image;
  readonly sshPort: number;
}

/** This machine, as an emulated one reaches it: the emulator's NAT hands what is sent there on to the loopback address. */
export const hostInside = "10.0.2.2";

/** The files of a machine's folder that its emulator opens. */
export const machineFiles = {
  disk: "disk.qcow2",
  seed: "seed.iso",
  console: "console.log",
  monitor: "monitor",
} as const;

/**
 * Returns the emulator's words. The machine sees one disk, its seed, a network card behind the emulator's own NAT (this
 * machine is `hostInside` there, and only SSH leads in, from the loopback address), randomness, and a serial console that is
 * written to a file. Options: https://www.qemu.org/docs/master/system/invocation.html
 */
export function emulatorWords(machine: EmulatedMachine): readonly string[] {
  const { arch, accelerator, cpus, memoryMib, image, sshPort } = machine;
  const kvm = accelerator === "kvm";
  const console = arch === "arm64" ? "ttyAMA0" : "ttyS0";
  return [
    ...["-machine", arch === "arm64" ? "virt" : "q35"],
    ...["-accel", kvm ? "kvm" : "tcg,thread=multi", "-cpu", kvm ? "host" : "max"],
    ...["-smp", String(cpus), "-m", String(memoryMib), "-nodefaults", "-display", "none"],
    ...["-kernel", image.kernel, "-initrd", image.initrd],
    // Guests of an emulator share nothing with strangers: guards against that would cost every system call.
    ...["-append", `root=LABEL=root console=${console} ds=nocloud${kvm ? "" : " mitigations=off"}`],
    ...["-drive", `file=${machineFiles.disk},if=virtio,format=qcow2,discard=unmap`],
    ...["-drive", `file=${machineFiles.seed},if=virtio,format=raw,readonly=on`],
    ...["-netdev", `user,id=net0,hostfwd=tcp:127.0.0.1:${sshPort}-:22`, "-device", "virtio-net-pci,netdev=net0"],
    ...["-device", "virtio-rng-pci"],
    // Appended to: what a machine said before it was switched off is evidence.
    ...["-chardev", `file,id=console,path=${machineFiles.console},append=on`, "-serial", "chardev:console"],
    ...["-qmp", `unix:${machineFiles.monitor},server=on,wait=off`],
  ];
}
