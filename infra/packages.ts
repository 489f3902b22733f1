import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { ExplainedError } from "./problem.ts";

/** A program and the Debian package that brings it. */
export interface Needed {
  readonly program: string;
  readonly package: string;
}

/**
 * Makes sure that programs can be run here: as root on a system with APT what is missing is installed. Throws
 * `no-program` in one sentence, with the command that mends it, where something stays missing; `what` is who needs it.
 */
export async function ensurePrograms(
  what: string,
  needed: readonly Needed[],
  say: (line: string) => void,
): Promise<void> {
  const missing = async (): Promise<string[]> =>
    (await Promise.all(needed.map(async (each) => ((await onPath(each.program)) ? [] : [each.package])))).flat();
  const root = process.getuid?.() === 0;
  const packages = await missing();
  if (packages.length === 0) return;
  if (root && (await onPath("apt-get"))) {
    say(`installing ${packages.join(", ")}`);
    const apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"];
    const install = [...apt, "install", "-y", "--no-install-recommends", ...packages];
    // A fresh machine has no package lists; one that has them need not fetch them again.
    if ((await runLoudly(install, { say })).end !== null && (await runLoudly([...apt, "update"], { say })).end === null)
      await runLoudly(install, { say });
  }
  const still = await missing();
  if (still.length === 0) return;
  throw new ExplainedError(
    "no-program",
    `${what} need ${still.join(", ")}, which ${still.length === 1 ? "is" : "are"} not installed here.`,
    `Run: ${root ? "" : "sudo "}apt-get install -y ${still.join(" ")}`,
  );
}

/** How a program ended: null where all was well, else why not, and its last lines. */
export interface Ran {
  readonly end: string | null;
  readonly last: string;
}

/** Runs a program that installs or builds something, hands on each line that it says, and returns how it ended. */
export async function runLoudly(
  [program = "", ...words]: readonly string[],
  {
    say,
    cwd = "/",
    signal,
    timeoutMs,
  }: { say: (line: string) => void; cwd?: string; signal?: AbortSignal | undefined; timeoutMs?: number },
): Promise<Ran> {
  const child = spawn(program, words, {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
    ...(signal === undefined ? {} : { signal }),
  });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split(/[\r\n]+/);
      rest = lines.pop() ?? "";
      for (const line of lines.map((text) => text.trim()).filter((text) => text !== "")) {
        say(line);
        last.push(line);
        if (last.length > 8) last.shift();
      }
    });
  }
  const end = await new Promise<string | null>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, killed) => resolve(code === 0 ? null : (killed ?? `exit code ${code}`)));
  });
  return { end, last: last.join(" / ").slice(-800) };
}

async function onPath(program: string): Promise<boolean> {
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"]) {
    try {
      await access(join(folder, program), constants.X_OK);
      if ((await stat(join(folder, program))).isFile()) return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "EACCES") throw error;
    }
  }
  return false;
}
