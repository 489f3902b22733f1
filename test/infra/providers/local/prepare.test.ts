import { describe, expect, it } from "vitest";
import { preparations } from "../../../../infra/commands/make-ready.ts";
import { facts } from "../../../../infra/providers/local/facts.ts";
import type { NodeSpec } from "../../../../infra/providers/provider.ts";

const nodeWith = (options: NodeSpec["options"]): NodeSpec => ({
  key: "vm/0",
  group: "vm",
  slot: 0,
  region: "here",
  arch: "x64",
  size: "machine",
  shape: "machine",
  placement: null,
  cpus: 1,
  memoryMib: 1024,
  diskGib: 8,
  os: "debian-12",
  ports: [],
  power: "on",
  workload: "sentry",
  network: "practice",
  revision: { machine: 1, software: 1 },
  options,
});

describe("the image of virtual machines", () => {
  const [preparation] = preparations({}).filter(({ provider }) => provider === facts.name);

  it("is made ready where a node is a virtual machine, and not for processes", () => {
    expect(preparation?.needed([nodeWith({ mode: "process" }), nodeWith({ mode: "vm" })])).toBe(true);
    expect(preparation?.needed([nodeWith({ mode: "process" })])).toBe(false);
    expect(preparation?.needed([])).toBe(false);
  });
});
