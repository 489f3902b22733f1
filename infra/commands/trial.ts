import { existsSync, globSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { isMap, isScalar, parse, parseDocument, stringify } from "yaml";
import { checkout, type Home } from "../engine/environment.ts";
import { ensureStack, runPulumi } from "../engine/stack.ts";
import { homeOf } from "../home.ts";
import { BadInput, ExplainedError } from "../problem.ts";
import { placeStandIns, rulesFiles, setScenario, worldOf } from "../stand-in/plugins.ts";
import { readRules } from "../stand-in/rules.ts";
import { readScenario } from "../stand-in/scenario.ts";
import { openWorld } from "../stand-in/world.ts";
import { chooseOf } from "../suggestion.ts";
import { costOf, tableShown } from "./cost-first.ts";
import { prepare } from "./prepare.ts";
import { type Progress, progressOn, type Say } from "./progress.ts";
import { failure, upLookingForRoom } from "./up.ts";

const examples = join(checkout, "docs", "examples");

/** Returns the names of the examples, sorted. */
function exampleNames(): string[] {
  return globSync("*.yaml", { cwd: examples })
    .map((file) => basename(file, ".yaml"))
    .toSorted();
}

export const usage = `npm run trial -- <example> [--keep]

Takes a whole phase through stand-in clouds, without any account: its plan and costs, its machines, half of them, none.
No machine exists, nothing is billed, and points would be worth nothing. It has a home folder of its own, which a
later trial of the same example begins anew.
  <example>   a file of docs/examples: ${exampleNames().join(", ")}
  --keep      leave the fleet up in the stand-in clouds, and say how to go on with it
`;

const stack = "trial";
const label = "TRIAL on stand-in clouds: no machine exists, nothing is billed, points would be worth nothing.";

/** Seconds that pass in the clouds of a trial in one second here. */
const speed = 600;

/** Takes an example through its life. Returns 0. Throws `BadInput` for a name that there is not. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { keep: { type: "boolean", default: false } },
  });
  const name = exampleOf(positionals);
  process.stdout.write(`${label}\n\n`);
  const progress = progressOn(process.stderr);
  const home = join(homeOf(checkout), "trial", name);
  await rm(home, { recursive: true, force: true });
  const place = await prepare(progress, ["engine"], { env: { ...process.env, GRADIENTLAB_HOME: home } });
  const folder = await makeProject(place, name);

  await previewed(place, folder, progress);
  await up(place, folder, progress, "up");
  show(place);
  if (values.keep) {
    process.stdout.write(
      `\n${label}\nGo on with it: cd ${folder} && . ../env && npx pulumi preview --stack ${stack}\nA new trial of ${name} begins anew.\n`,
    );
    return 0;
  }
  await halve(folder);
  await up(place, folder, progress, "half of it");
  show(place);
  await progress.step("destroy", async (say) => {
    await pulumi(place, folder, ["destroy", "--yes", "--skip-preview"]);
    say("removed");
  });
  const left = heldBy(place);
  if (left.length > 0)
    throw new ExplainedError(
      "left-behind",
      `The clouds still hold ${left.map(({ id }) => id).join(", ")}.`,
      "A real cloud would go on billing them: this is a mistake of the program's, please report it.",
    );
  process.stdout.write(`\nNothing is left in the stand-in clouds.\n${label}\n`);
  return 0;
}

function exampleOf([name, ...more]: readonly string[]): string {
  const known = exampleNames();
  if (name !== undefined && more.length === 0 && known.includes(name)) return name;
  const message =
    name === undefined
      ? "No example is named."
      : more.length > 0
        ? "More than one example is named."
        : `There is no example "${name}".`;
  throw new BadInput("The command", [
    { path: "example", value: name, message, fix: chooseOf("example", name ?? "", known) },
  ]);
}

/** Makes the project of a trial: the checkout's program, the example as its stack, and clouds that stand in. */
async function makeProject(place: Home, name: string): Promise<string> {
  const folder = join(place.home, "project");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const bin = join(checkout, "infra", "bin");
  const own: Record<string, unknown> = parse(await readFile(join(checkout, "Pulumi.yaml"), "utf8"));
  const project = {
    ...own,
    main: join(bin, "index.js"),
    plugins: { providers: [{ name: "gradientlab", path: join(bin, "plugin") }] },
  };
  await writeFile(join(folder, "Pulumi.yaml"), stringify(project));
  await writeFile(join(folder, `Pulumi.${stack}.yaml`), await readFile(join(examples, `${name}.yaml`)));
  await placeStandIns(place);
  const scenario = join(examples, `${name}.scenario.json`);
  await setScenario(place, existsSync(scenario) ? { ...readScenario(scenario), speed } : { schema: 1, speed });
  await ensureStack(place, stack, folder);
  return folder;
}

async function pulumi(place: Home, folder: string, args: readonly string[]): Promise<string> {
  const { code, output } = await runPulumi(place, [...args, "--stack", stack, "--color", "never"], { folder });
  if (code !== 0) throw failure(output, join(place.home, "logs"));
  return output;
}

async function previewed(place: Home, folder: string, progress: Progress): Promise<void> {
  const table = costOf(join(folder, `Pulumi.${stack}.yaml`), place.env, new Date());
  const told = { ...place, env: { ...place.env, ...(table === null ? {} : { [tableShown]: "yes" }) } };
  const output = await progress.step("preview", async (say: Say) => {
    say("planning");
    return await pulumi(told, folder, ["preview", "--suppress-outputs", "--suppress-progress"]);
  });
  process.stdout.write(`\n${table === null ? "" : `${table}\n\n`}${output.trim()}\n\n`);
}

async function up(place: Home, folder: string, progress: Progress, step: string): Promise<void> {
  await progress.step(step, async (say) => {
    const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms / speed));
    const forMs = 6 * 3_600_000;
    const { code, output } = await upLookingForRoom(place, { stack, folder, say, forMs, sleep });
    if (code !== 0) throw failure(output, join(place.home, "logs", "up.log"));
    say("as the config says");
  });
}

/** Writes half of each group's count, rounded down, into the trial's stack file. */
async function halve(folder: string): Promise<void> {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  const document = parseDocument(await readFile(file, "utf8"));
  const groups = document.getIn(["config", "gradientlab:fleet", "groups"]);
  for (const { value: group } of isMap(groups) ? groups.items : []) {
    const count = isMap(group) ? group.get("count", true) : undefined;
    if (isScalar(count)) count.value = Math.floor(Number(count.value) / 2);
  }
  await writeFile(file, document.toString({ lineWidth: 0 }));
}

function heldBy(place: Home): readonly { readonly cloud: string; readonly id: string; readonly type: string }[] {
  const world = openWorld(worldOf(place));
  try {
    const clouds = rulesFiles().map((file) => readRules(file).plugin);
    return clouds.flatMap((cloud) => world.all(cloud).map(({ id, type }) => ({ cloud, id, type })));
  } finally {
    world.close();
  }
}

/** Prints what the clouds hold, by cloud and type. */
function show(place: Home): void {
  const counts = new Map<string, number>();
  for (const { type } of heldBy(place)) counts.set(type, (counts.get(type) ?? 0) + 1);
  const rows = [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const lines = rows.map(([type, count]) => `  ${String(count).padStart(4)}  ${type}`);
  process.stdout.write(`\nThe stand-in clouds hold:\n${lines.join("\n")}\n\n`);
}
