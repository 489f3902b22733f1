import { z } from "zod";
import type { Ledger } from "../ledger.ts";
import type { NodeSpec, Usage } from "./provider.ts";

/** What the providers of machines have in common. */

/** The option that says how many GiB a node of the group is expected to send a month; the plan prices them. */
export const egress = z
  .int("Write a whole number of GiB from 0 to 100000")
  .min(0, "Write a whole number of GiB from 0 to 100000")
  .max(100_000, "Write a whole number of GiB from 0 to 100000")
  .default(1);

/**
 * Returns what a machine uses by its machine type; one that the ledger does not know is a quantity without a price. None
 * of it is billed while the machine is powered off.
 */
export function machineUsage(node: NodeSpec, ledger: Ledger): Usage[] {
  const counts = ledger.shapes[node.shape]?.counts ?? { machine: node.shape };
  const amounts = { machine: 1, cpus: node.cpus, memory: node.memoryMib };
  const off = node.power === "off" ? ({ off: true } as const) : {};
  return (["machine", "cpus", "memory"] as const).flatMap((what) => {
    const quantity = counts[what];
    return quantity === undefined ? [] : [{ quantity, amount: amounts[what], ...off }];
  });
}

/** Returns the regions of these nodes, sorted: a site in each. */
export function regionsOf(nodes: readonly NodeSpec[]): { readonly region: string }[] {
  return [...new Set(nodes.map((node) => node.region))].toSorted().map((region) => ({ region }));
}
