import { spawn } from "node:child_process";
import { join } from "node:path";
import { checkout } from "../engine/environment.ts";
import { prepare } from "./prepare.ts";
import { progressOn } from "./progress.ts";

export const usage = `npm run pulumi -- <args>

The Pulumi command line tool with this checkout's state, for example: npm run pulumi -- stack output inventory
`;

/** The words behind the first are the tool's: `npm run pulumi -- up --help` is its own help. */
export const passesOn = true;

/** Runs the command line tool with the terminal it is called from. Returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const place = await prepare(progressOn(process.stderr), ["engine"]);
  const child = spawn(process.execPath, [join(checkout, "infra", "engine", "bin.mjs"), ...args], {
    cwd: checkout,
    env: place.env,
    stdio: "inherit",
  });
  // Ctrl-C reaches the tool by itself; it decides when to end.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", resolve);
  });
  return code ?? 1;
}
