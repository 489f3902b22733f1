import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readConfig } from "../../collector/config.ts";

const checkout = join(import.meta.dirname, "..", "..");
const name = "gradientlab-collector.service";
// The loosest that a service of this kind should be: it needs the network, other users' names and the browser's namespaces.
const mostExposure = 3;

let folder = "";
let file = "";
let unit = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "unit-"));
  file = join(folder, name);
  unit = await readFile(join(checkout, "deploy", "systemd", name), "utf8");
  await writeFile(file, unit.replaceAll("/opt/gradientlab", checkout));
});
afterAll(() => rm(folder, { recursive: true }));

const values = (setting: string): string[] =>
  [...unit.matchAll(new RegExp(`^${setting}=(.*)$`, "gm"))].map(([, value = ""]) => value);

describe.runIf(existsSync("/usr/bin/systemd-analyze"))("systemd, asked about the collector's unit", () => {
  it("finds nothing wrong with it, and the programs that it starts", () => {
    const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" });
    expect(`${stdout}${stderr}`).toBe("");
    expect(status).toBe(0);
  });

  it("calls it little exposed", () => {
    const words = ["security", "--offline=true", "--no-pager", file];
    const { stdout } = spawnSync("systemd-analyze", words, { encoding: "utf8" });
    const exposure = Number(/Overall exposure level for \S+: ([0-9.]+)/.exec(stdout)?.[1]);
    expect(exposure).toBeLessThan(mostExposure);
  });
});

describe("the collector's unit", () => {
  it("gives the collector an environment that it takes", () => {
    const environment = Object.fromEntries(
      values("Environment").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
    );
    const { WEB_ROOT, ...rest } = environment;
    expect(WEB_ROOT).toBe("/opt/gradientlab/collector/web/dist");
    const config = readConfig(rest);
    expect(config).toMatchObject({ dataDirectory: "/var/lib/gradientlab/data", host: "127.0.0.1", port: 8080 });
    const handedOver = values("LoadCredential").map((value) => value.split(":")[0]);
    for (const credential of [rest.CREDENTIALS_KEY, rest.SSH_KEY])
      expect(handedOver).toContain(credential?.replace("%d/", ""));
  });

  it("waits longer for the end than the collector takes, and starts nothing again that was told wrongly", () => {
    expect(Number(values("TimeoutStopSec")[0])).toBeGreaterThan(5);
    expect(values("RestartPreventExitStatus")).toEqual(["2"]);
    expect(values("KillMode")).toEqual(["mixed"]);
  });

  it("finds what it runs compiled when it starts, in a folder of its own", async () => {
    const [, flags = ""] = /^\S+\/node (.*) \S+\/main\.ts$/.exec(values("ExecStart")[0] ?? "") ?? [];
    const before = /^\S+\/node (.*) --import (\S+) --eval ""$/.exec(values("ExecStartPre")[0] ?? "");
    expect(before?.[1]).toBe(flags);
    const cache = values("Environment").find((pair) => pair.startsWith("NODE_COMPILE_CACHE="));
    expect(cache).toMatch(new RegExp(`=/var/cache/${values("CacheDirectory")[0]}/`));
    const main = before?.[2]?.replace("/opt/gradientlab", checkout) ?? "";
    const compiled = join(folder, "compiled");
    const words = [...flags.split(" "), "--import", main, "--eval", ""];
    const { status, stdout, stderr } = spawnSync(process.execPath, words, {
      encoding: "utf8",
      env: { NODE_COMPILE_CACHE: compiled },
    });
    expect([status, stdout, stderr]).toEqual([0, "", ""]);
    const [kept = ""] = await readdir(compiled);
    expect((await readdir(join(compiled, kept))).length).toBeGreaterThan(100);
  });
});
