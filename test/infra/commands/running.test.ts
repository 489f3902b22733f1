import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { claimStart, notePort, runningStart } from "../../../infra/commands/running.ts";
import { BadInput } from "../../../infra/problem.ts";
import { identityOf, stillRuns } from "../../../infra/process-identity.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "gl-running-"));
});
afterEach(() => rmSync(home, { recursive: true }));

describe("one start for each checkout", () => {
  it("refuses a second claim and names the first one's process and page", () => {
    const release = claimStart(home, 8123);
    expect(() => claimStart(home, 9000)).toThrow(BadInput);
    expect(() => claimStart(home, 9000)).toThrow(`process ${process.pid}, with its page at http://127.0.0.1:8123`);
    release();
    expect(runningStart(home)).toBeUndefined();
  });

  it("names the page as soon as its port is known", () => {
    const release = claimStart(home, 0);
    expect(() => claimStart(home, 9000)).toThrow(`as process ${process.pid}.`);
    notePort(home, 8124);
    expect(() => claimStart(home, 9000)).toThrow(`process ${process.pid}, with its page at http://127.0.0.1:8124.`);
    release();
    expect(runningStart(home)).toBeUndefined();
  });

  it("takes over from a start that was killed", async () => {
    const child = spawn("sleep", ["600"]);
    const identity = identityOf(child.pid ?? 0);
    claimStart(home, 1)();
    writeFileSync(join(home, "run", "start.json"), JSON.stringify({ ...identity, port: 8080 }));
    expect(runningStart(home)?.pid).toBe(child.pid);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(runningStart(home)).toBeUndefined();
    claimStart(home, 8081)();
  });

  it("does not take another process with the same number for the one it knew", () => {
    const self = identityOf(process.pid);
    if (self === undefined) throw new Error("this process has no identity");
    expect(stillRuns(self)).toBe(true);
    expect(stillRuns({ ...self, startTicks: "1" })).toBe(false);
    expect(stillRuns({ ...self, bootId: "another boot" })).toBe(false);
  });
});
