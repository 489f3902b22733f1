import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseDocument } from "yaml";
import { parseConfig } from "../config.ts";
import { ledgersOf } from "../ledgers.ts";
import { planFleet } from "../plan.ts";
import { BadInput } from "../problem.ts";
import { reportText } from "../report.ts";
import { readStackFile } from "../stack-file.ts";
import { surroundingsOf } from "./surroundings.ts";

/** Set for the engine where the table was printed before it: the plugin then leaves it out of what it reports. */
export const tableShown = "GRADIENTLAB_TABLE_SHOWN";

/** The command line tool's words that show a plan. */
const planning = ["up", "update", "preview", "pre"];

/**
 * Returns the table of what the fleet costs that a call of the command line tool is about to preview: of the stack that
 * its arguments, the environment or `selected` name, in the folder it works in. Returns null for any other call, for one
 * that prints JSON, for a fleet that costs nothing, and for a config with mistakes, all of which the program itself names.
 */
export function costFirst(
  args: readonly string[],
  {
    folder,
    env,
    at,
    selected,
  }: {
    readonly folder: string;
    readonly env: NodeJS.ProcessEnv;
    readonly at: Date;
    readonly selected: (folder: string) => string | null;
  },
): string | null {
  if (!planning.includes(args.find((word) => !word.startsWith("-")) ?? "")) return null;
  if (args.some((word) => ["--json", "-j", "--help", "-h"].includes(word))) return null;
  const project = projectAt(resolve(folder, option(args, "--cwd", "-C") ?? "."));
  if (project === null) return null;
  const stack = option(args, "--stack", "-s") ?? env.PULUMI_STACK ?? selected(project);
  const file = option(args, "--config-file") ?? join(project, `Pulumi.${stack?.split("/").at(-1)}.yaml`);
  return existsSync(file) ? costOf(file, env, at) : null;
}

/** Returns the table of what the fleet of a stack's file costs; null where it costs nothing or has mistakes. */
export function costOf(file: string, env: NodeJS.ProcessEnv, at: Date): string | null {
  const around = surroundingsOf(env);
  try {
    const { config, secret } = readStackFile(readFileSync(file, "utf8"), file);
    const { demand } = planFleet(parseConfig(config, around, secret), around);
    return demand === null ? null : reportText(demand, ledgersOf(around.providers), at);
  } catch (error) {
    if (error instanceof BadInput) return null;
    throw error;
  }
}

/** Returns the nearest folder from `folder` upwards that holds a project of ours; null where there is none. */
function projectAt(folder: string): string | null {
  const file = join(folder, "Pulumi.yaml");
  if (existsSync(file)) return parseDocument(readFileSync(file, "utf8")).get("name") === "gradientlab" ? folder : null;
  return dirname(folder) === folder ? null : projectAt(dirname(folder));
}

/** Returns the value of an option, in either way of writing it. */
function option(args: readonly string[], ...names: readonly string[]): string | undefined {
  for (const [index, word] of args.entries()) {
    if (names.includes(word)) return args[index + 1];
    const [name = "", ...value] = word.split("=");
    if (value.length > 0 && names.includes(name)) return value.join("=");
  }
  return undefined;
}
