import { createHash } from "node:crypto";
import type { Placement } from "./providers/provider.ts";

/**
 * Returns where the nodes of a group go, by slot: the domains and machine types that may stand for them taken in turn,
 * each group from a start of its own, so that groups do not all begin in the first domain. It depends on the node's key
 * alone, so a count's change moves no other node. Null where there is no domain to choose.
 */
export function placementsOf(
  group: string,
  domains: readonly string[],
  shapes: readonly string[],
): (slot: number) => Placement | null {
  const candidates = candidatesOf(domains, shapes);
  const start = createHash("sha256").update(group).digest().readUInt32BE(0);
  return (slot) => candidates[(start + slot) % candidates.length] ?? null;
}

/** Returns all placements in the order in which they are taken: every domain with the first shape, then with the next. */
export function candidatesOf(domains: readonly string[], shapes: readonly string[]): Placement[] {
  return shapes.flatMap((shape) => domains.map((domain) => ({ domain, shape })));
}
