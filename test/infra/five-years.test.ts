import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { differences, type RuntimePackage, supportLedger, supportPage } from "../../infra/five-years.ts";

const checkout = join(import.meta.dirname, "..", "..");

/** Returns every package that a program of the project is run with: what is not for development alone. */
async function runtimePackages(): Promise<RuntimePackage[]> {
  const found = new Map<string, string>();
  const root = JSON.parse(await readFile(join(checkout, "package.json"), "utf8")) as { workspaces: string[] };
  for (const folder of ["", ...root.workspaces]) {
    const manifest = JSON.parse(await readFile(join(checkout, folder, "package.json"), "utf8")) as Readonly<
      Record<"dependencies" | "optionalDependencies", Record<string, string> | undefined>
    >;
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.optionalDependencies }))
      found.set(name, version);
  }
  return [...found].map(([name, version]) => ({ name, version }));
}

describe("the ledger of support", () => {
  it("holds every package that a program is run with, at its version, and no other", async () => {
    const packages = await runtimePackages();
    expect(packages.length).toBeGreaterThan(15);
    expect(differences(supportLedger(), packages)).toEqual([]);
  });

  it("tells a package that is missing, was raised or is gone", () => {
    const [first] = supportLedger();
    if (first === undefined) throw new Error("the ledger has entries");
    const ledger = [{ ...first, packages: { one: "1", two: "0.29", gone: "3" } }];
    const packages = [
      { name: "one", version: "10.0.0" },
      { name: "two", version: "0.29.9" },
      { name: "new", version: "1.0.0" },
    ];
    expect(differences(ledger, packages)).toEqual([
      "one is 10.0.0, and was looked up for 1",
      "new 1.0.0 is in no entry",
      "gone is not used",
    ]);
  });

  it("is what the page shows", async () => {
    const page = await readFile(join(checkout, "docs", "five-years.md"), "utf8");
    expect(page).toBe(supportPage(supportLedger()));
  });
});
