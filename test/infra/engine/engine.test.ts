import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureStack, runPulumi, stackExists } from "../../../infra/engine/stack.ts";
import { until } from "../../harness/checkout.ts";
import { makeProject, type Project, running, stackFile } from "./project.ts";

let project: Project;

beforeEach(async () => {
  project = await makeProject();
}, 600_000);
afterEach(() => project.remove());

describe("a bare npx pulumi, after the env file was loaded", () => {
  it("sets config, previews, makes, refreshes, tells outputs and destroys, and leaves the user's own ~/.pulumi alone", async () => {
    const own = join(project.root, "user", ".pulumi");
    mkdirSync(join(own, "plugins"), { recursive: true });
    writeFileSync(join(own, "credentials.json"), '{"current":"https://api.example","accessTokens":{"a":"b"}}');
    const before = contents(own);
    await ensureStack(project.place, "dev", project.folder);

    expect(await project.pulumi("config", "set", "--path", "gradientlab:fleet.groups.second.count", "5")).toMatchObject(
      {
        code: 0,
      },
    );
    const preview = await project.pulumi("preview");
    expect(preview.output).toContain("+ 3 to create");
    expect(preview.output).toContain("the program says hello");
    expect(preview.output).not.toMatch(/warning|error/i);

    expect((await project.pulumi("up", "--yes")).output).toContain("+ 3 created");
    expect((await project.pulumi("preview", "--expect-no-changes")).code).toBe(0);
    const outputs = JSON.parse((await project.pulumi("stack", "output", "--json")).output);
    expect(outputs).toMatchObject({ ms: 0, config: { groups: { second: { count: 5 } } } });
    expect((await project.pulumi("refresh", "--yes")).output).toContain("3 unchanged");
    expect((await project.pulumi("about")).code).toBe(0);

    expect((await project.pulumi("destroy", "--yes")).output).toContain("- 3 deleted");
    expect(
      project
        .log()
        .filter((line) => line !== "cancel")
        .toSorted(),
    ).toEqual(["created one", "created two", "creating one", "creating two", "deleted one", "deleted two"]);
    expect(contents(own)).toEqual(before);
    expect(readdirSync(join(project.root, "user"))).toEqual([".pulumi"]);
  });

  it("shows a program's own error once, without a stack, and exits with a failure", async () => {
    await ensureStack(project.place, "dev", project.folder);
    project.write(`throw new (require("@pulumi/pulumi").RunError)("the count is -1. Give 0 or more.");`);
    const { code, output } = await project.pulumi("preview");
    expect(code).not.toBe(0);
    expect(diagnostics(output).match(/the count is -1\. Give 0 or more\./g)).toHaveLength(1);
    expect(output).not.toMatch(/index\.js|exited with non-zero/);
  });

  it("says how a program ended that exits by itself", async () => {
    await ensureStack(project.place, "dev", project.folder);
    project.write("process.exit(7);");
    const { code, output } = await project.pulumi("preview");
    expect(code).not.toBe(0);
    expect(diagnostics(output)).toContain("Program exited with non-zero exit code: 7");
  });

  it("starts Node.js with the words that the project has for it", async () => {
    const file = join(project.folder, "Pulumi.yaml");
    const words = "--max-semi-space-size=8  --no-deprecation";
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("typescript: false", `typescript: false, nodeargs: "${words}"`),
    );
    await ensureStack(project.place, "dev", project.folder);
    project.write(`console.log("started with " + process.execArgv.join(" and "));`);
    const { output } = await project.pulumi("preview");
    expect(output).toContain("started with --max-semi-space-size=8 and --no-deprecation");
  });

  it("passes the tool's exit code on", async () => {
    expect((await project.pulumi("stack", "select", "nowhere")).code).toBe(6);
  });
});

describe("an interrupted up", () => {
  it("ends by Ctrl-C with whole state, leaves no process, and continues", async () => {
    await ensureStack(project.place, "dev", project.folder);
    await project.pulumi("config", "set", "ms", "60000");
    const { child, ended } = project.start("up", "--yes", "--skip-preview");
    await until("a resource to be begun", 30_000, () => project.log().some((line) => line.startsWith("creating")));
    child.kill("SIGINT");
    const { code, output } = await ended;
    expect(code).toBe(1);
    expect(output).toContain("cancelling");
    expect(project.log()).toContain("cancel");
    await until("every process to end", 10_000, () => running(project).length === 0);

    await project.pulumi("config", "set", "ms", "0");
    const again = await project.pulumi("up", "--yes", "--skip-preview");
    expect(again).toMatchObject({ code: 0 });
    expect(again.output).not.toContain("warning");
  });

  it("takes an abort signal for Ctrl-C where there is no terminal", async () => {
    await ensureStack(project.place, "dev", project.folder);
    await project.pulumi("config", "set", "ms", "60000");
    const stop = new AbortController();
    const run = runPulumi(project.place, ["up", "--yes", "--skip-preview"], {
      folder: project.folder,
      signal: stop.signal,
      onLine: (line) => (line.includes("creating (") && line.includes("Wait") ? stop.abort() : undefined),
    });
    expect(await run).toMatchObject({ code: 1 });
  });

  it.each([
    { kind: "gradientlab", pending: "forgotten, because making a node again adopts it" },
    { kind: "timer", pending: "warned of, because they may be there and be billed" },
  ])(
    "leaves no process or lock when the engine was killed; $kind resources under way are $pending",
    async ({ kind }) => {
      await ensureStack(project.place, "dev", project.folder);
      await project.pulumi("config", "set", "kind", kind);
      await project.pulumi("config", "set", "ms", "60000");
      const { ended } = project.start("up", "--yes", "--skip-preview");
      await until("a resource to be begun", 30_000, () => project.log().some((line) => line.startsWith("creating")));
      const engine = running(project).find((line) => /versions\/3\.\S+\/bin\/pulumi/.test(line));
      process.kill(Number(engine?.split(" ")[0]), "SIGKILL");
      await ended;
      await until("every process to end", 10_000, () => running(project).length === 0);
      await project.pulumi("config", "set", "ms", "0");
      expect((await project.pulumi("up", "--yes", "--skip-preview")).output).toContain("currently locked");

      await ensureStack(project.place, "dev", project.folder);
      const again = await project.pulumi("up", "--yes", "--skip-preview");
      expect(again.code).toBe(0);
      expect(again.output.includes("pending operations")).toBe(kind === "timer");
    },
  );

  it("leaves the lock of an engine that still runs", async () => {
    await ensureStack(project.place, "dev", project.folder);
    await project.pulumi("config", "set", "ms", "60000");
    const { child, ended } = project.start("up", "--yes", "--skip-preview");
    await until("a resource to be begun", 30_000, () => project.log().some((line) => line.startsWith("creating")));
    await ensureStack(project.place, "dev", project.folder);
    expect((await project.pulumi("up", "--yes", "--skip-preview")).output).toContain("currently locked");
    child.kill("SIGINT");
    await ended;
  });
});

describe("the stack", () => {
  it("gets a salt and a secret of 32 bytes once, encrypted, and the file keeps its comments and its order", async () => {
    const file = join(project.folder, "Pulumi.dev.yaml");
    expect(await stackExists(project.place, "dev", project.folder)).toBe(false);
    expect(readFileSync(file, "utf8")).toBe(stackFile);

    expect(await ensureStack(project.place, "dev", project.folder)).toContain("Pulumi.dev.yaml");
    const text = readFileSync(file, "utf8");
    expect(text.startsWith(stackFile)).toBe(true);
    expect(text.slice(stackFile.length)).toMatch(
      /^ {2}gradientlab:secret:\n {4}secure: v1:\S+\nencryptionsalt: v1:\S+\n$/,
    );
    const secret = await runPulumi(project.place, ["config", "get", "gradientlab:secret"], { folder: project.folder });
    expect(Buffer.from(secret.output, "base64")).toHaveLength(32);
    expect(text).not.toContain(secret.output);

    expect(await ensureStack(project.place, "dev", project.folder)).toBeUndefined();
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(await stackExists(project.place, "dev", project.folder)).toBe(true);
  });

  it("gets new ones where the file was put back as it was", async () => {
    await ensureStack(project.place, "dev", project.folder);
    await project.pulumi("up", "--yes", "--skip-preview");
    writeFileSync(join(project.folder, "Pulumi.dev.yaml"), stackFile);
    expect(await ensureStack(project.place, "dev", project.folder)).toBeDefined();
    expect((await project.pulumi("preview", "--expect-no-changes")).code).toBe(0);
  });

  it("is refused in one sentence where its file was encrypted with another passphrase", async () => {
    await ensureStack(project.place, "dev", project.folder);
    writeFileSync(join(project.place.home, "passphrase"), "another\n");
    await expect(ensureStack(project.place, "dev", project.folder)).rejects.toMatchObject({
      code: "foreign-secret",
      message: expect.stringContaining("Pulumi.dev.yaml"),
    });
  });
});

/** Returns the closing diagnostics: while a program runs its messages are shown beside the stack too. */
function diagnostics(output: string): string {
  return output.split(/^Diagnostics:$/m)[1] ?? "";
}

/** Returns every file below `folder` with its content and time of change. */
function contents(folder: string): unknown {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .toSorted()
    .map((name) => {
      const file = join(folder, name);
      const { mtimeMs } = statSync(file);
      return existsSync(file) && statSync(file).isFile()
        ? [name, mtimeMs, readFileSync(file, "utf8")]
        : [name, mtimeMs];
    });
}
