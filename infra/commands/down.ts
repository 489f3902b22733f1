import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureStack, runPulumi, stackExists, stackOutput } from "../engine/stack.ts";
import { BadInput, ExplainedError } from "../problem.ts";
import { stillRuns } from "../process-identity.ts";
import { prepare } from "./prepare.ts";
import { progressOn } from "./progress.ts";
import { runningStart } from "./running.ts";
import { saySteps } from "./up.ts";

export const usage = `npm run down [-- --stack <name>] [--with-evidence]

Removes every node of the stack, after its journal was saved, and ends the collector of a running npm start. The
evidence that was collected stays. A stack whose collector has a machine of its own is removed only when told so:
the evidence lies on that machine.
  --stack <name>    the stack (dev)
  --with-evidence   the collector's own machine too, with its database
`;

/** How long a running start may take to read the last journals and stop. */
const stopMs = 30_000;

/** Removes the fleet. Returns 0. Throws what the engine said where it failed. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { stack: { type: "string", default: "dev" }, "with-evidence": { type: "boolean", default: false } },
  });
  const progress = progressOn(process.stderr);
  const place = await prepare(progress, ["engine"]);
  await progress.step("fleet", async (say) => {
    say("removing it");
    if (!(await stackExists(place, values.stack))) return say("there is none");
    if (!values["with-evidence"] && (await stackOutput(place, values.stack, "collector")) !== undefined)
      throw new BadInput("The command", [
        {
          path: "--with-evidence",
          value: undefined,
          message: "The stack has the collector's own machine, and what was collected lies in its database.",
          fix: "Take a backup as docs/operating.md says, then: npm run down -- --with-evidence",
        },
      ]);
    await ensureStack(place, values.stack);
    const destroy = ["destroy", "--yes", "--skip-preview", "--color", "never", "--stack", values.stack];
    const { code, output } = await runPulumi(place, destroy, { onLine: saySteps(say) });
    await appendFile(join(place.home, "logs", "down.log"), `${output}\n`, { mode: 0o600 });
    if (code !== 0)
      throw new ExplainedError("engine", `The engine could not remove the fleet:\n${output.trim()}`, "Run it again.");
    say("removed");
  });
  const start = runningStart(place.home);
  if (start !== undefined)
    await progress.step("collector", async (say) => {
      say("stopping");
      process.kill(start.pid, "SIGTERM");
      const deadline = performance.now() + stopMs;
      while (stillRuns(start)) {
        if (performance.now() > deadline)
          throw new ExplainedError(
            "still-running",
            `npm start (process ${start.pid}) did not stop.`,
            "End it with Ctrl-C.",
          );
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      say("stopped");
    });
  process.stdout.write(`Nothing of the fleet is left. The evidence stays in ${join(place.home, "data")}.\n`);
  return 0;
}
