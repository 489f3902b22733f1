import type { Adapter } from "./adapter.ts";
import { gradient } from "./gradient/adapter.ts";
import { mysterium } from "./mysterium/adapter.ts";
import { practice } from "./practice/adapter.ts";
import { ripeAtlas } from "./ripe-atlas/adapter.ts";

/** Every adapter of this release. */
export const adapters: readonly Adapter[] = [gradient, mysterium, practice, ripeAtlas];

/** Returns the adapter of a network, or undefined where this release has none. */
export function adapterOf(network: string): Adapter | undefined {
  return adapters.find((adapter) => adapter.network === network);
}

/** Returns the networks that this release can read, in the order of their names. */
export function networkNames(): readonly string[] {
  return adapters.map(({ network }) => network).toSorted();
}
