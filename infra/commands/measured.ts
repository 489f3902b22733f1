import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { checkout } from "../engine/environment.ts";

/** Keeps what a full run showed in `docs/measured/<name>.json`, with the commit and the day (UTC). */
export async function keepMeasured(name: string, measured: Readonly<Record<string, unknown>>): Promise<void> {
  const { stdout } = await promisify(execFile)("git", ["rev-parse", "--short", "HEAD"], { cwd: checkout });
  const folder = join(checkout, "docs", "measured");
  await mkdir(folder, { recursive: true });
  const kept = { ...measured, commit: stdout.trim(), date: new Date().toISOString().slice(0, 10) };
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify(kept, null, 2)}\n`);
}
