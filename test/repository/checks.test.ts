import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const checkout = join(import.meta.dirname, "..", "..");
const bin = (name: string): string => join(checkout, "node_modules", ".bin", name);

/** Runs a checker and returns what it complained about: nothing when it exits with 0. */
async function complaints(file: string, args: readonly string[]): Promise<string> {
  try {
    await run(file, args, { cwd: checkout, maxBuffer: 1e8 });
    return "";
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    return `${stdout}${stderr}`;
  }
}

async function tracked(): Promise<string[]> {
  return (await run("git", ["ls-files"], { cwd: checkout })).stdout.trim().split("\n");
}

describe("the repository", () => {
  it("has no type error", async () => {
    expect(await complaints(bin("tsc"), ["-p", "."])).toBe("");
  });

  it.each(["collector/web", "practice/extension"])(
    "has no type error in %s, which runs in a browser",
    async (folder) => {
      expect(await complaints(bin("tsc"), ["-p", folder])).toBe("");
    },
  );

  it("is formatted and linted, and names no provider outside infra/providers", async () => {
    expect(await complaints(bin("biome"), ["ci", "--colors=off", "."])).toBe("");
  });

  it("has no unused file, export or dependency", async () => {
    expect(await complaints(bin("knip"), [])).toBe("");
  });

  it("is committed without a passphrase's salt or a secret in the stack file", async () => {
    const { stdout } = await run("git", ["show", "HEAD:Pulumi.dev.yaml"], { cwd: checkout });
    expect(stdout).not.toMatch(/encryptionsalt|secure:/);
  });

  it("locks every dependency at an exact version, without a download address", async () => {
    const lock = JSON.parse(await readFile(join(checkout, "package-lock.json"), "utf8")) as {
      packages: Record<string, { resolved?: string; link?: boolean; integrity?: string; version?: string }>;
    };
    const addresses = Object.values(lock.packages).filter((p) => p.resolved !== undefined && !p.link);
    expect(addresses).toEqual([]);
    const manifests = (await tracked()).filter((file) => /^([a-z]+\/)?package\.json$/.test(file));
    for (const file of manifests) {
      const manifest = JSON.parse(await readFile(join(checkout, file), "utf8")) as Record<
        string,
        Record<string, string>
      >;
      const versions = ["dependencies", "devDependencies", "optionalDependencies"].flatMap((kind) =>
        Object.values(manifest[kind] ?? {}),
      );
      expect(versions.filter((version) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
    }
  });
});
