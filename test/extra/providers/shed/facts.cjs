// A fifth provider, for tests only: machines in a shed, reached as processes, billed by the day, with one network for
// each region and no way to power a machine off.
const { z } = require("zod");

/** @type {import("../../../../infra/providers/provider.ts").ProviderFacts<{ everySeconds: number }>} */
exports.facts = {
  name: "shed",
  options: z.strictObject({ everySeconds: z.int().min(1).default(2) }),
  regions: ["garden", "yard"],
  defaultRegion: null,
  traits: {
    boot: ["process"],
    bootLimitBytes: null,
    inboundPorts: false,
    power: false,
    spareCapacity: false,
    billing: { unitSeconds: 86_400 },
    os: ["host"],
  },
  ledger: {
    sizes: {
      bench: { cpus: 1, memoryMib: 512, diskGib: 10, arch: "host" },
      shelf: { cpus: 2, memoryMib: 1024, diskGib: 20, arch: "host" },
    },
  },
  limits: (nodes) =>
    nodes.length <= 20
      ? []
      : [
          {
            path: "gradientlab:fleet.groups",
            value: String(nodes.length),
            message: `The groups in the shed have ${nodes.length} nodes, and it holds 20.`,
            fix: "Lower a count.",
          },
        ],
  sites: (nodes) =>
    [...new Set(nodes.map((node) => node.region))]
      .toSorted()
      .map((region) => ({ provider: "shed", account: "", region })),
  price: (what) =>
    "key" in what
      ? [{ item: "machine", microUsdPerMonth: 30 * 10_000, source: "a test's own price list", checkedOn: "2026-11-01" }]
      : [{ item: "shed", microUsdPerMonth: 30 * 1000, source: "a test's own price list", checkedOn: "2026-11-01" }],
};
