import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Returns the release of a checkout: the version that its package.json says. */
export function releaseOf(checkout: string): string {
  return (JSON.parse(readFileSync(join(checkout, "package.json"), "utf8")) as { version: string }).version;
}
