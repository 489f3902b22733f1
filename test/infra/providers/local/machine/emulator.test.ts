import { describe, expect, it } from "vitest";
import { type EmulatedMachine, emulatorWords } from "../../../../../infra/providers/local/machine/emulator.ts";

const machine: EmulatedMachine = {
  arch: "x64",
  accelerator: "tcg",
  cpus: 1,
  memoryMib: 1024,
  image: { id: "0", disk: "/images/0/disk.raw", kernel: "/images/0/vmlinuz" },
  sshPort: 2222,
};
const wordAfter = (words: readonly string[], name: string): string | undefined => words[words.indexOf(name) + 1];

describe("the emulator of a machine", () => {
  it("lets SSH in from this machine only, and nothing else", () => {
    const forwards = emulatorWords(machine)
      .join(" ")
      .match(/hostfwd=\S+/g);
    expect(forwards).toEqual(["hostfwd=tcp:127.0.0.1:2222-:22"]);
  });

  it("runs on the processor itself only where that was found to work", () => {
    expect(wordAfter(emulatorWords(machine), "-accel")).toBe("tcg,thread=multi");
    expect(wordAfter(emulatorWords({ ...machine, accelerator: "kvm" }), "-accel")).toBe("kvm");
    expect(wordAfter(emulatorWords({ ...machine, accelerator: "kvm" }), "-cpu")).toBe("host");
  });

  it("writes to the machine's own disk, never to the image", () => {
    const drives = emulatorWords(machine).filter((word) => word.startsWith("file="));
    expect(drives).toEqual([
      "file=disk.qcow2,if=none,id=disk,format=qcow2,discard=unmap",
      "file=seed.iso,if=none,id=seed,format=raw,readonly=on",
    ]);
  });

  it("does not try in software whether the timer rings often enough, which it does not on a busy host", () => {
    expect(wordAfter(emulatorWords(machine), "-append")).toContain(" no_timer_check");
    expect(wordAfter(emulatorWords({ ...machine, accelerator: "kvm" }), "-append")).not.toContain("no_timer_check");
  });

  it("speaks on the console that each architecture has", () => {
    expect(wordAfter(emulatorWords(machine), "-append")).toContain("console=ttyS0");
    const arm = emulatorWords({ ...machine, arch: "arm64" });
    expect(wordAfter(arm, "-append")).toContain("console=ttyAMA0");
    expect(wordAfter(arm, "-machine")).toBe("virt");
  });
});
