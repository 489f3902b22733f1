import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { inspect, judge, type Machine } from "../../../infra/commands/preflight.ts";

const good: Machine = {
  node: "24.21.0",
  npm: "11.19.1",
  go: undefined,
  goNeeded: false,
  diskFreeBytes: 50e9,
  memoryAvailableBytes: 8e9,
  tools: { flock: true, unshare: true },
  os: "debian",
  root: false,
};

describe("the check before a start", () => {
  it("finds nothing missing on a machine that has all", () => {
    expect(judge(good)).toEqual([]);
  });

  it("asks for Go only where the engine must be built", () => {
    expect(judge({ ...good, goNeeded: true }).map((p) => p.path)).toEqual(["go"]);
    expect(judge({ ...good, goNeeded: true, go: "1.24.9" }).map((p) => p.path)).toEqual(["go"]);
    expect(judge({ ...good, goNeeded: true, go: "1.25" })).toEqual([]);
  });

  it("names everything that is missing at once, with the command for this system", () => {
    const bare = {
      ...good,
      node: "18.20.4",
      npm: "9.2.0",
      goNeeded: true,
      diskFreeBytes: 1e8,
      memoryAvailableBytes: 1e8,
    };
    const problems = judge({ ...bare, tools: { flock: false, unshare: true } });
    expect(problems.map((p) => p.path)).toEqual(["node", "npm", "go", "disk", "memory", "tools"]);
    expect(problems[0]?.fix).toBe("Run: sudo apt-get install -y nodejs");
    expect(problems[5]?.message).toBe("The base programs flock are not on PATH.");
  });

  it("leaves sudo away for root and names no command of another system", () => {
    expect(judge({ ...good, root: true, node: "18.0.0" })[0]?.fix).toBe("Run: apt-get install -y nodejs");
    expect(judge({ ...good, os: "fedora", node: "18.0.0" })[0]?.fix).not.toContain("apt-get");
  });

  it("reads this machine", async () => {
    const machine = await inspect(tmpdir(), async () => false);
    expect(machine.node).toBe(process.versions.node);
    expect(machine.npm).toMatch(/^\d+\.\d+\.\d+$/);
    expect(machine.diskFreeBytes).toBeGreaterThan(0);
    expect(machine.tools.flock).toBe(true);
  });
});
