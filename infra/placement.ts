import { createHash } from "node:crypto";
import type { Placement } from "./providers/provider.ts";

/**
 * Returns where a node goes: the domains and machine types that may stand for it taken in turn by slot, each group from
 * a start of its own, so that groups do not all begin in the first domain. It depends on the node's key alone, so a
 * count's change moves no other node. Null where there is no domain to choose.
 */
export function placementOf(
  group: string,
  slot: number,
  domains: readonly string[],
  shapes: readonly string[],
): Placement | null {
  const candidates = candidatesOf(domains, shapes);
  return candidates[(startOf(group) + slot) % candidates.length] ?? null;
}

/** Returns all placements in the order in which they are taken: every domain with the first shape, then with the next. */
export function candidatesOf(domains: readonly string[], shapes: readonly string[]): Placement[] {
  return shapes.flatMap((shape) => domains.map((domain) => ({ domain, shape })));
}

function startOf(group: string): number {
  return createHash("sha256").update(group).digest().readUInt32BE(0);
}
