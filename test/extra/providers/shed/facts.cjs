// A fifth provider, for tests only: machines in a shed, reached as processes, billed by the day, with one network for
// each region and no way to power a machine off.
const { z } = require("zod");

const dated = { source: "a test's own price list", checkedOn: "2026-11-01" };

/** @type {import("../../../../infra/providers/provider.ts").ProviderFacts<{ everySeconds: number }>} */
exports.facts = {
  name: "shed",
  accountOptions: z.strictObject({}),
  options: z.strictObject({ everySeconds: z.int().min(1).default(2) }),
  regions: ["garden", "yard"],
  defaultRegion: null,
  traits: {
    boot: ["process"],
    bootLimitBytes: null,
    inboundPorts: false,
    power: false,
    device: "shared",
    spareCapacity: false,
    billing: { unitSeconds: 86_400 },
    os: ["host"],
  },
  ledger: {
    schema: 1,
    quantities: { machine: { title: "machine", unit: "count" }, shed: { title: "shed", unit: "count" } },
    shapes: {
      bench: { arch: "host", counts: { machine: "machine" }, ...dated },
      shelf: { arch: "host", counts: { machine: "machine" }, ...dated },
    },
    sizes: {
      bench: { shapes: ["bench"], cpus: 1, memoryMib: 512, diskGib: 10, ...dated },
      shelf: { shapes: ["shelf"], cpus: 2, memoryMib: 1024, diskGib: 20, ...dated },
    },
    limits: [{ quantity: "machine", value: 20, unit: "count", ...dated }],
    free: [],
    prices: [
      { quantity: "machine", value: "0.3", unit: "count-month", currency: "USD", ...dated },
      { quantity: "shed", value: "0.03", unit: "count-month", currency: "USD", ...dated },
    ],
  },
  terms: [],
  domains: () => [],
  sites: (nodes) => [...new Set(nodes.map((node) => node.region))].toSorted().map((region) => ({ region })),
  usage: (what) => ["key" in what ? { quantity: "machine", amount: 1 } : { quantity: "shed", amount: 1 }],
};
