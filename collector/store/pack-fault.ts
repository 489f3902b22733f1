import { linkLine } from "./links.ts";
import type { KnownLine } from "./packing.ts";

/** What a pack says of its lines. */
export interface PackHeader {
  readonly first_n: string;
  readonly last_n: string;
  readonly samples: number;
  readonly events: number;
  readonly from_at: Date;
  readonly to_at: Date;
  readonly chain: Uint8Array;
}

/**
 * Returns the chain after `lines`, which follow `before`, and what is wrong with them as the lines of this pack; null where
 * nothing is.
 */
export function faultOfLines(
  pack: PackHeader,
  lines: readonly KnownLine[],
  before: Buffer,
): { readonly chain: Buffer; readonly fault: string | null } {
  const chain = lines.reduce((link, { line }) => linkLine(link, line), before);
  if (!chain.equals(pack.chain)) return { chain, fault: "does not hold the lines that were stored" };
  const instants = lines.map(({ at }) => at);
  const says = [pack.first_n, pack.last_n, pack.samples, pack.events, pack.from_at.getTime(), pack.to_at.getTime()];
  const holds = [
    String(lines[0]?.n),
    String(lines.at(-1)?.n),
    lines.filter(({ kind }) => kind === "sample").length,
    lines.filter(({ kind }) => kind === "event").length,
    instants.reduce((one, other) => Math.min(one, other)),
    instants.reduce((one, other) => Math.max(one, other)),
  ];
  const same = says.every((value, index) => value === holds[index]);
  return { chain, fault: same ? null : "says other things of its lines than they do" };
}
