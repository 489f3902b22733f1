import type { NodeSpec } from "../provider.ts";

const skus = { x64: "server", arm64: "server-arm64" } as const;

/** Returns the newest Ubuntu 24.04 image for an architecture. Azure itself looks up which one that is. */
export function newestImage(arch: NodeSpec["arch"]): {
  readonly publisher: string;
  readonly offer: string;
  readonly sku: string;
  readonly version: string;
} {
  return { publisher: "Canonical", offer: "ubuntu-24_04-lts", sku: skus[arch], version: "latest" };
}
