import { spawnSync } from "node:child_process";
import { build } from "../build.ts";
import { costFirst } from "./cost-first.ts";

/**
 * What comes before `binary`, the command line tool, runs with `args` in this process's folder: compiles the program where
 * its sources changed since, and prints what the fleet costs.
 */
export async function before({
  args,
  binary,
}: {
  readonly args: readonly string[];
  readonly binary: string;
}): Promise<void> {
  await build();
  const selected = (folder: string): string | null => {
    const { status, stdout } = spawnSync(binary, ["stack", "--show-name"], { cwd: folder, encoding: "utf8" });
    return status === 0 ? stdout.trim() : null;
  };
  const table = costFirst(args, { folder: process.cwd(), env: process.env, at: new Date(), selected });
  if (table !== null) process.stdout.write(`${table}\n\n`);
}
