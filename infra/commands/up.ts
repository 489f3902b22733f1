import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseConfig } from "../config.ts";
import { checkout, type Home } from "../engine/environment.ts";
import {
  ensureStack,
  type FailureSign,
  madeResources,
  type PulumiRun,
  recallFailures,
  runPulumi,
  stackConfig,
} from "../engine/stack.ts";
import { writePlacements } from "../engine/stack-file.ts";
import { searchPlacement } from "../placement-search.ts";
import { type FleetPlan, planFleet } from "../plan.ts";
import { BadInput, ExplainedError } from "../problem.ts";
import { bringCollector } from "./bring-collector.ts";
import { readInventory } from "./deployed.ts";
import { makeReady } from "./make-ready.ts";
import { prepare } from "./prepare.ts";
import { type Progress, progressOn, type Say } from "./progress.ts";
import { surroundingsOf } from "./surroundings.ts";

export const usage = `npm run up [-- --stack <name>] [--for 6h]

Makes the fleet as the stack's config says. It first looks at what is really there, so that a node whose machine or
processes are gone comes back, and one that its provider keeps as failed is asked for again. Where a provider has no
room for a machine, the next domain or machine type is written into the config and tried, once a minute at most, with
growing pauses; each try is a line in attempts.jsonl. Where the config gives the collector a machine of its own, that
machine then gets this checkout's release, the inventory, keys and settings, as far as it has others.
  --stack <name>   the stack (dev)
  --for <time>     how long to look for room, such as 6h, 90m or 45s (6h); 0s tries once
`;

/** Makes the fleet. Returns 0. Throws what the engine said where it failed. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { stack: { type: "string", default: "dev" }, for: { type: "string", default: "6h" } },
  });
  const forMs = durationOf(values.for);
  const progress = progressOn(process.stderr);
  const place = await prepare(progress, ["engine", "browser"]);
  await bringUp(place, progress, values.stack, { forMs });
  const { nodes } = await readInventory(place.home);
  const page = await bringCollector(place, progress, values.stack);
  const count = `${nodes.length} ${nodes.length === 1 ? "node" : "nodes"} in the fleet.`;
  process.stdout.write(page === null ? `${count} npm start shows them.\n` : `${count} ${page}\n`);
  return 0;
}

/** Returns the milliseconds of a time such as `6h`. Throws `BadInput` for anything else. */
function durationOf(text: string): number {
  const [, amount, unit] = /^(\d{1,6})([hms])$/.exec(text) ?? [];
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000 };
  const of = units[unit ?? ""];
  if (of !== undefined) return Number(amount) * of;
  throw new BadInput("The command", [
    {
      path: "--for",
      value: text,
      message: `--for is "${text}".`,
      fix: "Give hours, minutes or seconds, such as 6h, 90m or 45s.",
    },
  ]);
}

/** What `bringUp` may be told beside the stack. */
export interface UpOptions {
  /** It is waited for before a node is touched; where it rejects, none is. */
  readonly condition?: Promise<unknown>;
  /** How long to look for room where a provider has none, in milliseconds (0: not at all). */
  readonly forMs?: number;
}

/**
 * Brings the stack up, after a refresh, and shows the engine's lines as progress; all of them go to `logs/up.log`.
 * Throws `BadInput` where the config has mistakes, and what the condition rejects with (no node was touched then);
 * `ExplainedError` where the engine failed or no room was found.
 */
export async function bringUp(
  place: Home,
  progress: Progress,
  stack: string,
  { condition = Promise.resolve(), forMs = 0 }: UpOptions = {},
): Promise<void> {
  // It may reject before it is waited for.
  condition.catch(() => undefined);
  const note = await progress.step("fleet", async (say) => {
    say("preparing the stack");
    const salted = await ensureStack(place, stack);
    await Promise.all([condition, makeReady(place, stack, progress)]);
    say("bringing it up");
    const { code, output } = await upLookingForRoom(place, { stack, folder: checkout, say, forMs });
    if (code !== 0) throw failure(output, logOf(place));
    say(changes(output));
    return salted;
  });
  if (note !== undefined) progress.note(note);
}

const logOf = (place: Home): string => join(place.home, "logs", "up.log");

/** What `upLookingForRoom` works with: the stack of a project's folder, and time, which a test brings itself. */
export interface UpRun {
  readonly stack: string;
  readonly folder: string;
  readonly say: Say;
  readonly forMs: number;
  readonly now?: () => number;
  readonly sleep?: (ms: number) => Promise<void>;
}

/** Brings the stack up and looks for room for as long as it may. Returns the engine's last run. */
export async function upLookingForRoom(
  place: Home,
  { stack, folder, say, forMs, now, sleep }: UpRun,
): Promise<PulumiRun> {
  // With its preview, so that a config with mistakes fails before the refresh has touched anything.
  const options = ["--yes", "--suppress-outputs", "--suppress-progress", "--color", "never", "--stack", stack];
  const run = async (...more: readonly string[]): Promise<PulumiRun> => {
    const done = await runPulumi(place, ["up", ...options, ...more], { folder, onLine: saySteps(say) });
    await appendFile(logOf(place), `${done.output}\n`, { mode: 0o600 });
    return done;
  };
  const surroundings = surroundingsOf(place.env);
  const signsOf = ({ sites }: FleetPlan): FailureSign[] =>
    [...new Set(sites.map(({ provider }) => provider))].flatMap(
      (provider) => surroundings.providers.get(provider)?.failedMachine ?? [],
    );
  const up = async (plan: FleetPlan): Promise<PulumiRun> => {
    const refreshed = await run("--refresh");
    const signs = signsOf(plan);
    if (refreshed.code !== 0 || signs.length === 0) return refreshed;
    const failed = await recallFailures(place, stack, folder, signs);
    if (failed.length === 0) return refreshed;
    say(`${failed.join(", ")} failed at the provider before: asking it again`);
    return await run();
  };
  return await searchPlacement({
    stack,
    providers: surroundings.providers,
    plan: async () => planFleet(parseConfig(await stackConfig(place, stack, folder), surroundings), surroundings),
    up,
    made: () => madeResources(place, stack, folder),
    place: (placements) => writePlacements(folder, stack, placements),
    record: async (attempts) => {
      const lines = attempts.map((attempt) => `${JSON.stringify(attempt)}\n`).join("");
      if (lines !== "") await appendFile(join(place.home, "attempts.jsonl"), lines, { mode: 0o600 });
    },
    say,
    now: now ?? Date.now,
    sleep: sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
    forMs,
  });
}

/** What the engine does under the headings that it prints. */
const stages: Readonly<Record<string, string>> = {
  "Previewing update": "looking at what is there, and planning",
  Updating: "making the changes",
  Destroying: "removing",
};

/** Returns a listener of the engine's lines that says what they tell of its stages and of a resource, as `created local/0`. */
export function saySteps(say: Say): (line: string) => void {
  return (line) => {
    const stage = stages[/^([A-Z][a-z ]+) \(.+\):$/.exec(line)?.[1] ?? ""];
    if (stage !== undefined) say(stage);
    const match = /^ [ +~-]{1,2} +\S+:\S+ (\S+) (created|updated|deleted|replaced|creating|updating|deleting)\b/.exec(
      line,
    );
    if (match !== null) say(`${match[2]} ${match[1]}`);
  };
}

/** Returns what the engine's closing summary says it changed, on one line. */
function changes(output: string): string {
  // The first summary is the preview's.
  const summary = [...output.matchAll(/^Resources:\n((?: {4}.*\n?)+)/gm)].at(-1)?.[1] ?? "";
  const parts = summary
    .split("\n")
    .flatMap((line) => (line.trim() === "" ? [] : [line.trim().replaceAll(/^[+~-]+ /g, "")]));
  return parts.join(", ") || "as the config says";
}

/** Returns the error that the engine's output amounts to: the config's mistakes, or the diagnostics it ended with. */
export function failure(output: string, log: string): Error {
  const said =
    output
      .split(/^Diagnostics:$/m)
      .at(-1)
      ?.split(/^(?:Outputs|Resources):$/m)[0] ?? "";
  // While the program runs its messages are shown beside the stack too, cut to one line: only the closing ones are whole.
  const mistakes = /^ *error: .+ has \d+ mistakes?:\n((?: +.+\n?)+)/m.exec(said)?.[1];
  if (mistakes !== undefined) {
    const lines = mistakes.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
    return new BadInput(
      "The stack's config",
      lines.map((line) => ({ path: line.split(" ", 1)[0] ?? "", value: undefined, message: line, fix: "" })),
    );
  }
  return new ExplainedError(
    "engine",
    `The engine could not make the fleet:\n${(said === output ? output.split("\n").slice(-15).join("\n") : said).trim()}`,
    `All that it said is in ${log}.`,
  );
}
