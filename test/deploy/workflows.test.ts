import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";

const checkout = join(import.meta.dirname, "..", "..");

interface Workflow {
  readonly name: string;
  readonly text: string;
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly "timeout-minutes"?: number;
        readonly if?: string;
        readonly steps: readonly Readonly<Record<string, string>>[];
      }
    >
  >;
}

const workflows: Workflow[] = [];
beforeAll(async () => {
  for (const folder of [".github/workflows", "deploy/github"]) {
    for (const name of await readdir(join(checkout, folder))) {
      const text = await readFile(join(checkout, folder, name), "utf8");
      workflows.push({ ...(parse(text) as Omit<Workflow, "name" | "text">), name, text });
    }
  }
});

describe("the workflows", () => {
  it("use every action at a commit, with the version that it is in words", () => {
    const uses = workflows.flatMap(({ text }) => [...text.matchAll(/uses: (.*)$/gm)].map(([, used = ""]) => used));
    expect(uses.length).toBeGreaterThan(5);
    for (const used of uses) expect(used).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    // One version of each: two would be one that was forgotten.
    const versions = new Map(uses.map((used) => [used.split("@")[0], used]));
    expect(new Set(uses)).toEqual(new Set(versions.values()));
  });

  it("may read the repository and no more, unless a job says so, and end", () => {
    for (const { name, permissions, jobs } of workflows) {
      expect(permissions, name).toEqual({ contents: "read" });
      for (const job of Object.values(jobs)) expect(job["timeout-minutes"], name).toBeGreaterThan(0);
    }
  });

  it("put nothing that others write into a script", () => {
    for (const { name, jobs } of workflows) {
      for (const { steps } of Object.values(jobs))
        for (const { run = "" } of steps) expect(run, name).not.toContain("${{");
    }
  });

  it("run nothing of a fork's on a machine of one's own", () => {
    const fleet = workflows.find(({ name }) => name === "fleet.yml");
    expect(fleet?.jobs.preview?.if).toContain("head.repo.full_name == github.repository");
    expect(fleet?.jobs.apply?.if).toBe("github.event_name == 'push'");
  });
});
