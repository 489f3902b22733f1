import { describe, expect, it } from "vitest";
import { readConfig } from "../../collector/config.ts";
import { BadInput } from "../../infra/problem.ts";

const least = { DATA_DIR: "/d", INVENTORY: "/i.json" };

function mistakes(environment: Record<string, string>): string[] {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    if (!(error instanceof BadInput)) throw error;
    return error.problems.map(({ path }) => path);
  }
}

describe("the collector's environment", () => {
  it("needs no more than a data folder and an inventory", () => {
    expect(readConfig(least)).toMatchObject({ host: "127.0.0.1", port: 8080, databaseUrl: null, pullSeconds: 10 });
  });

  it("counts an empty variable as absent and makes paths absolute", () => {
    const config = readConfig({ ...least, DATABASE_URL: "", SPOOL: "spool" });
    expect(config.databaseUrl).toBeNull();
    expect(config.spoolDirectory).toBe(`${process.cwd()}/spool`);
  });

  it.each([
    ["PORT", "-1"],
    ["PORT", "65536"],
    ["PORT", "2.5"],
    ["HOST", "nowhere.example"],
    ["PULL_SECONDS", "0"],
    ["READ_CRON", "every minute"],
    ["WEB_ROOT", "/nowhere/at/all"],
    ["DATABASE_URL", "host=localhost"],
  ])("refuses %s=%s and names it", (name, value) => {
    expect(mistakes({ ...least, [name]: value })).toEqual([name]);
  });

  it("names all mistakes at once", () => {
    expect(mistakes({ PORT: "x", READ_CRON: "x" }).toSorted()).toEqual(["DATA_DIR", "INVENTORY", "PORT", "READ_CRON"]);
  });

  it("never repeats a database URL, which may hold a password", () => {
    expect(() => readConfig({ ...least, DATABASE_URL: "mysql://u:hidden-word@h/d" })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("hidden-word") }),
    );
  });
});
