import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildWhenStale } from "../../../infra/engine/artefact.ts";

let folder: string;
let target: string;
const patterns = ["infra/problem.ts"];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gl-artefact-"));
  target = join(folder, "bin");
});
afterEach(() => rmSync(folder, { recursive: true }));

const writing = (text: string) => (out: string) => writeFile(join(out, "made.js"), text);
const made = (): string => readFileSync(join(target, "made.js"), "utf8");

describe("a folder of compiled files", () => {
  it("is made once for the same sources, and again for others", async () => {
    expect(await buildWhenStale(target, patterns, writing("first"))).toBe(true);
    expect(await buildWhenStale(target, patterns, writing("second"))).toBe(false);
    expect(made()).toBe("first");
    expect(await buildWhenStale(target, [...patterns, "infra/inventory.ts"], writing("third"))).toBe(true);
    expect(made()).toBe("third");
  });

  it("is made once where two want it at the same moment", async () => {
    let begun = 0;
    const both = await Promise.all(
      [1, 2].map(() =>
        buildWhenStale(target, patterns, async (out) => {
          begun++;
          await writing("made")(out);
        }),
      ),
    );
    expect(both.toSorted()).toEqual([false, true]);
    expect(begun).toBe(1);
  });

  it("keeps what was made before when making it again fails", async () => {
    await buildWhenStale(target, patterns, writing("good"));
    const failing = buildWhenStale(target, ["infra/inventory.ts"], async (out) => {
      writeFileSync(join(out, "half.js"), "");
      throw new Error("does not compile");
    });
    await expect(failing).rejects.toThrow("does not compile");
    expect(readdirSync(target).toSorted()).toEqual(["made.js", "stamp"]);
    expect(await buildWhenStale(target, patterns, writing("again"))).toBe(false);
  });
});
