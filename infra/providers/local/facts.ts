import { z } from "zod";
import { type Problem, quoted } from "../../problem.ts";
import type { NodeSpec, ProviderFacts } from "../provider.ts";

/** What a group on this machine may choose: the seconds between two samples of a node's journal. */
const Options = z.strictObject({
  everySeconds: z
    .int("Write a whole number of seconds from 1 to 3600")
    .min(1, "Write a whole number of seconds from 1 to 3600")
    .max(3600, "Write a whole number of seconds from 1 to 3600")
    .default(10),
});

/** Nodes on this machine, each a group of processes. They cost nothing and share nothing. */
export const facts: ProviderFacts<z.infer<typeof Options>> = {
  name: "local",
  default: true,
  options: Options,
  regions: ["here"],
  defaultRegion: "here",
  traits: {
    boot: ["process"],
    bootLimitBytes: null,
    inboundPorts: false,
    power: true,
    spareCapacity: true,
    billing: { unitSeconds: 1 },
    os: ["host"],
  },
  // What a node takes of the machine, so that a plan can be added up; nothing holds a node to it.
  ledger: { sizes: { process: { cpus: 1, memoryMib: 400, diskGib: 1, arch: "host" } } },
  limits: (nodes, _account, ledger) => wrongSizes(nodes, Object.keys(ledger.sizes)),
  sites: () => [],
  price: () => [],
};

/** A process has no shape to choose: a group that describes a machine of its own is told so, once. */
function wrongSizes(nodes: readonly NodeSpec[], sizes: readonly string[]): Problem[] {
  const wrong = new Map(nodes.filter((node) => !sizes.includes(node.size)).map((node) => [node.group, node.size]));
  return [...wrong].map(([group, size]) => {
    const path = `gradientlab:fleet.groups.${group}.size`;
    return {
      path,
      value: quoted(size),
      message: `${path} asks for the machine ${quoted(size)}, and nodes on this machine are processes.`,
      fix: `Write ${sizes.join(" or ")}.`,
    };
  });
}
