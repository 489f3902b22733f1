import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { costFirst } from "../../../infra/commands/cost-first.ts";
import { checkout } from "../../../infra/engine/environment.ts";
import { type FleetProject, fleetOf, google, makeFleetProject } from "../stand-in/fleet-project.ts";

const at = new Date("2026-12-01T00:00:00Z");
const fleet = fleetOf({ far: { ...google, count: 3 } });
const heading = "What the fleet costs in ";

describe("the table before a preview", () => {
  const folder = mkdtempSync(join(tmpdir(), "gl-cost-"));
  mkdirSync(join(folder, "inner"));
  writeFileSync(join(folder, "Pulumi.yaml"), "name: gradientlab\n");
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(folder, name), stringify({ config: { "gradientlab:fleet": value } }));
  write("Pulumi.dev.yaml", fleet);
  write("Pulumi.one.yaml", fleetOf({ far: { ...google, count: 1 } }));
  write("Pulumi.own.yaml", { schema: 1, groups: { here: { provider: "local", count: 2, workload: "sentry" } } });
  write("Pulumi.wrong.yaml", { ...fleet, shcema: 1 });
  afterAll(() => rmSync(folder, { recursive: true }));

  const of = (args: string, { env = {}, selected = "dev", from = folder } = {}): string | null =>
    costFirst(args.split(" "), { folder: from, env, at, selected: () => selected });
  const machines = (table: string | null): string | undefined => /^all +(\d+)/m.exec(table ?? "")?.[1];

  it("is of the stack that is selected, where a plan is about to be shown", () => {
    for (const word of ["up", "preview", "pre", "update"]) {
      expect(of(word)).toContain(`${heading}2026-12`);
      expect(machines(of(word))).toBe("3");
    }
    expect(machines(of("preview", { from: join(folder, "inner") }))).toBe("3");
  });

  it("is of the stack, folder or file that is named", () => {
    for (const args of [
      "up --stack one",
      "up -s=one",
      "--stack=me/gradientlab/one up",
      "up --config-file Pulumi.one.yaml",
    ])
      expect([args, machines(of(args.replace("Pulumi.one", `${folder}/Pulumi.one`)))]).toEqual([args, "1"]);
    expect(machines(of("preview", { env: { PULUMI_STACK: "one" } }))).toBe("1");
    expect(machines(of(`preview -C ${folder}`, { from: tmpdir() }))).toBe("3");
  });

  it("is none where nothing is planned, another project is, nothing costs anything, or the config has mistakes", () => {
    for (const args of ["stack output up", "destroy", "config set up 1", "preview --json", "up --help"])
      expect([args, of(args)]).toEqual([args, null]);
    for (const selected of ["own", "wrong", "absent"])
      expect([selected, of("up", { selected })]).toEqual([selected, null]);
    expect(of("up", { from: tmpdir() })).toBeNull();
    mkdirSync(join(folder, "other"));
    writeFileSync(join(folder, "other", "Pulumi.yaml"), "name: another\n");
    expect(of("up", { from: join(folder, "other") })).toBeNull();
  });
});

describe("npx pulumi preview", () => {
  let project: FleetProject;
  beforeAll(async () => {
    project = await makeFleetProject();
  }, 600_000);
  afterAll(() => project.remove());

  it("shows the table once, before the usual diff", () => {
    project.configureFleet(fleet);
    const bin = join(checkout, "infra", "engine", "bin.mjs");
    const { folder: cwd, place } = project;
    const { status, stdout } = spawnSync(process.execPath, [bin, "preview", "--stack", "dev"], {
      cwd,
      env: place.env,
      encoding: "utf8",
    });
    expect(status).toBe(0);
    expect(stdout.split(heading)).toHaveLength(2);
    expect(stdout.indexOf(heading)).toBeLessThan(stdout.indexOf("Previewing update"));
    expect(stdout).toContain("Rests on:");
  });
});
