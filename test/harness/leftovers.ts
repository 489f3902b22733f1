import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { processesOf } from "./checkout.ts";
import { machineWideState } from "./machine-wide.ts";

/** How long what was told to end may take to be gone. */
const endingMs = 20_000;

/**
 * What other programs leave in the temporary folder by their own habit: npm its compile cache, a browser that was killed
 * its lock. They go with the run's folder.
 */
const others = /^(node-compile-cache$|org\.chromium\.Chromium\.|\.org\.chromium\.Chromium\.)/;

/**
 * Gives a run of the tests a temporary folder of its own, and returns what checks when all tests have run that nothing is
 * left of them: no process, mount or socket that knows this folder, nothing in it, and accounts and browser policies of
 * the machine as they were. Throws one sentence for each thing that is left, which fails the run.
 */
export default function setup(): () => Promise<void> {
  // Short, because sockets are made far below it; for every account, like the machine's own.
  const folder = mkdtempSync(join(tmpdir(), "t"));
  chmodSync(folder, 0o1777);
  process.env.TMPDIR = folder;
  // Every process of the tests inherits it, and is known by it wherever it works.
  process.env.GRADIENTLAB_TEST_RUN = `${folder}/`;
  const machineBefore = machineWideState();

  return async () => {
    const running = (): string[] => processesOf(folder).filter((line) => !/^\d+ .*vitest/.test(line));
    const deadline = performance.now() + endingMs;
    while (running().length > 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 100));

    const mentions = (file: string): string[] =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line.includes(folder) || line.includes(`/${basename(folder)}/`));
    const machine = machineWideState();
    const left = [
      ...running().map((line) => `The process ${line} still runs.`),
      ...mentions("/proc/self/mountinfo").map((line) => `The mount ${line.split(" ")[4]} is still there.`),
      ...mentions("/proc/net/unix").map((line) => `The socket ${line.split(" ").at(-1)} is still open.`),
      ...readdirSync(folder)
        .filter((name) => !others.test(name))
        .map((name) => `The temporary folder has ${name}.`),
      ...Object.keys(machine)
        .filter((path) => machine[path] !== machineBefore[path])
        .map((path) => `${path} is not as it was.`),
    ];
    if (left.length > 0) throw new Error(`The tests left something behind in ${folder}:\n  ${left.join("\n  ")}`);
    rmSync(folder, { recursive: true });
  };
}
