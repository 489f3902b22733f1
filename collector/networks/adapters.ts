import type { Adapter } from "./adapter.ts";
import { practice } from "./practice/adapter.ts";

const all: readonly Adapter[] = [practice];

/** Returns the adapter of a network, or undefined where this release has none. */
export function adapterOf(network: string): Adapter | undefined {
  return all.find((adapter) => adapter.network === network);
}
