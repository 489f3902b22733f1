import { statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { standInCloud } from "./cloud.ts";
import { commandPlugin } from "./command/commands.ts";
import { readRules } from "./rules.ts";
import { readScenario, type Scenario } from "./scenario.ts";
import { serveCloud } from "./server.ts";
import { openWorld } from "./world.ts";

/**
 * A plugin that stands for a cloud's own: `--rules` names the cloud's rules, `--version` the version it has, `--world`
 * the folder in which it keeps what it holds. What the engine adds behind them is not for us.
 */

const { values } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { rules: { type: "string" }, version: { type: "string" }, world: { type: "string" } },
});
const given = (name: "rules" | "version" | "world"): string => {
  const value = values[name];
  if (typeof value !== "string") throw new Error(`--${name} is missing.`);
  return value;
};
const world = given("world");
const scenarioFile = join(world, "scenario.json");
let read = { at: -1, scenario: readScenario(scenarioFile) };
/** Read again when the file was written again. */
const scenario = (): Scenario => {
  const at = statSync(scenarioFile, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (at !== read.at) read = { at, scenario: readScenario(scenarioFile) };
  return read.scenario;
};
const rules = readRules(given("rules"));
serveCloud(
  rules.plugin === "command"
    ? commandPlugin(rules)
    : standInCloud({
        rules,
        world: openWorld(world),
        scenario,
        now: Date.now,
        sleep: (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
      }),
  given("version"),
);
