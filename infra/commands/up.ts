import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Home } from "../engine/environment.ts";
import { ensureStack, runPulumi } from "../engine/stack.ts";
import { BadInput, ExplainedError } from "../problem.ts";
import { readInventory } from "./deployed.ts";
import { prepare } from "./prepare.ts";
import { type Progress, progressOn, type Say } from "./progress.ts";

export const usage = `npm run up [-- --stack <name>]

Makes the fleet as the stack's config says. It first looks at what is really there, so that a node whose machine or
processes are gone comes back.
  --stack <name>   the stack (dev)
`;

/** Makes the fleet. Returns 0. Throws what the engine said where it failed. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { stack: { type: "string", default: "dev" } } });
  const progress = progressOn(process.stderr);
  const place = await prepare(progress, ["engine", "browser"]);
  await bringUp(place, progress, values.stack);
  const { nodes } = await readInventory(place.home);
  process.stdout.write(
    `${nodes.length} ${nodes.length === 1 ? "node" : "nodes"} in the fleet. npm start shows them.\n`,
  );
  return 0;
}

/**
 * Brings the stack up, after a refresh, and shows the engine's lines as progress; all of them go to `logs/up.log`.
 * Throws `BadInput` where the config has mistakes, and what `condition` rejects with (no node was touched then);
 * `ExplainedError` where the engine failed.
 */
export async function bringUp(
  place: Home,
  progress: Progress,
  stack: string,
  condition: Promise<unknown> = Promise.resolve(),
): Promise<void> {
  // It may reject before it is waited for.
  condition.catch(() => undefined);
  const note = await progress.step("fleet", async (say) => {
    say("preparing the stack");
    const salted = await ensureStack(place, stack);
    await condition;
    say("bringing it up");
    // With its preview, so that a config with mistakes fails before the refresh has touched anything.
    const args = [
      "up",
      "--yes",
      "--refresh",
      "--suppress-outputs",
      "--suppress-progress",
      "--color",
      "never",
      "--stack",
      stack,
    ];
    const log = join(place.home, "logs", "up.log");
    const { code, output } = await runPulumi(place, args, { onLine: saySteps(say) });
    await appendFile(log, `${output}\n`, { mode: 0o600 });
    if (code !== 0) throw failure(output, log);
    say(changes(output));
    return salted;
  });
  if (note !== undefined) progress.note(note);
}

/** Returns a listener of the engine's lines that says what they tell of a resource, as `created local/0`. */
export function saySteps(say: Say): (line: string) => void {
  return (line) => {
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
