import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { declaredResources } from "../../../infra/providers/resource-table.ts";

const registry = join(import.meta.dirname, "..", "..", "..", "infra", "providers", "registry.ts");

/** Returns the SDKs that a process of its own has loaded after it found the providers and did `then` with them. */
function sdksAfter(then: string): string[] {
  const script = `
    const { findProviders } = require(${JSON.stringify(registry)});
    const providers = findProviders(require("node:path").join(${JSON.stringify(registry)}, "..", ".."), undefined);
    ${then}
    const sdks = Object.keys(require.cache).map((file) => /@pulumi.([a-z-]+)/.exec(file)?.[1]).filter(Boolean);
    console.log(JSON.stringify([...new Set(sdks)].sort()));`;
  return JSON.parse(execFileSync(process.execPath, ["-e", script], { encoding: "utf8" })) as string[];
}

describe("the SDKs that are loaded", () => {
  it("are none for the facts of all providers", () => {
    expect(sdksAfter("")).toEqual([]);
  });

  it.each([...declaredResources().keys()])(
    "are the engine's own and that of %s alone, where the config names it",
    (name) => {
      const [cloud] = (declaredResources().get(name) ?? []).map(({ type }) => type.split(":").at(-1));
      expect(sdksAfter(`providers.declare(${JSON.stringify(name)});`)).toEqual([cloud, "pulumi"].toSorted());
    },
  );
});
