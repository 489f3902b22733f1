import { z } from "zod";
import type { ProviderFacts } from "../provider.ts";

const seconds = z
  .int("Write a whole number of seconds from 1 to 3600")
  .min(1, "Write a whole number of seconds from 1 to 3600")
  .max(3600, "Write a whole number of seconds from 1 to 3600");

/**
 * What a group on this machine may choose: whether its nodes are groups of processes or virtual machines, and the seconds
 * between two samples of a node's journal.
 */
const Options = z.discriminatedUnion(
  "mode",
  [
    z.strictObject({ mode: z.literal("process").default("process"), everySeconds: seconds.default(10) }),
    z.strictObject({ mode: z.literal("vm"), everySeconds: seconds.default(60) }),
  ],
  "Write process or vm",
);

/** Nodes on this machine, each a group of processes or a virtual machine. They cost nothing and share nothing. */
export const facts: ProviderFacts<z.infer<typeof Options>> = {
  name: "local",
  default: true,
  options: Options,
  accountOptions: z.strictObject({}),
  regions: ["here"],
  defaultRegion: "here",
  traits: {
    boot: ["process"],
    bootLimitBytes: null,
    inboundPorts: false,
    power: true,
    device: "shared",
    spareCapacity: true,
    billing: { unitSeconds: 1 },
    os: ["host"],
  },
  // What a node takes of the machine, so that a plan can be added up; nothing holds a node to it.
  ledger: {
    schema: 1,
    quantities: {},
    shapes: {
      process: { arch: "host", counts: {}, source: "measured on this project", checkedOn: "2026-11-21" },
      machine: { arch: "host", counts: {}, source: "the smallest machines of the clouds", checkedOn: "2026-11-21" },
      "machine-arm64": {
        arch: "arm64",
        counts: {},
        source: "the smallest machines of the clouds",
        checkedOn: "2026-11-28",
      },
    },
    sizes: {
      process: {
        shapes: ["process"],
        cpus: 1,
        memoryMib: 400,
        diskGib: 1,
        source: "measured on this project",
        checkedOn: "2026-11-21",
      },
      machine: {
        shapes: ["machine"],
        cpus: 1,
        memoryMib: 1024,
        diskGib: 8,
        source: "the smallest machines of the clouds",
        checkedOn: "2026-11-21",
      },
      "machine-arm64": {
        shapes: ["machine-arm64"],
        cpus: 1,
        memoryMib: 1024,
        diskGib: 8,
        source: "the smallest machines of the clouds",
        checkedOn: "2026-11-28",
      },
    },
    limits: [],
    free: [],
    prices: [],
  },
  bootOf: ({ mode }) => (mode === "vm" ? { kind: "user-data", os: "debian-12" } : { kind: "process", os: "host" }),
  machine: { mode: "vm" },
  terms: [],
  domains: () => [],
  sites: () => [],
  usage: () => [],
};
