import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fullCounts } from "../../test/counts.ts";
import { checkout } from "../engine/environment.ts";
import { ensurePrograms } from "../packages.ts";
import { BadInput, ExplainedError } from "../problem.ts";
import { preparations } from "./make-ready.ts";
import { keepMeasured } from "./measured.ts";
import { prepare } from "./prepare.ts";
import { type Progress, progressOn } from "./progress.ts";

export const usage = `npm test [-- filter...]
npm run test:full -- <suite>

Installs what the tests need and runs them on real parts; a filter is a part of a test file's path.
  --full <suite>   one suite at its full counts; its result goes to docs/measured/<suite>.json
                   (${Object.keys(fullCounts).join(", ")})
`;

/** Runs the tests. Returns the runner's exit code: 0 when all passed. Throws `BadInput` for an unknown suite. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { full: { type: "boolean", default: false } },
  });
  const [suite] = positionals;
  const full = values.full ? suiteOf(suite) : undefined;
  const progress = progressOn(process.stderr);
  await prepare(progress, ["engine", "page", "browser"], {
    async afterBrowser(signal) {
      await preparePrograms(progress);
      if (await needMachines(full?.files ?? positionals)) await prepareMachines(progress, signal);
    },
  });
  if (full === undefined || suite === undefined) return await runTests(positionals, {});
  const cache = join(checkout, "node_modules", ".cache");
  const [summary, measured] = [join(cache, `summary-${process.pid}`), join(cache, `figures-${process.pid}`)];
  const kept = { GRADIENTLAB_TEST_SUMMARY: summary, GRADIENTLAB_TEST_FIGURES: measured };
  const code = await runTests(full.files, { ...full.counts, ...kept });
  if (code === 0) {
    const [result, figures] = [await readFile(summary, "utf8"), JSON.parse(await readFile(measured, "utf8")) as object];
    const shown = Object.keys(figures).length === 0 ? {} : { figures };
    await keepMeasured(suite, { suite, result: result.trim(), counts: full.counts, ...shown });
  }
  for (const file of [summary, measured]) await rm(file, { force: true });
  return code;
}

/** Programs that tests try our files and our transport on, each with the package that brings it. */
const tried = [
  { program: "nft", package: "nftables" },
  { program: "systemd-analyze", package: "systemd" },
];
/** Its package starts a server for everyone where a service manager runs, and the tests start one for themselves. */
const sshServer = { program: "sshd", package: "openssh-server" };

/**
 * Installs as root the programs that tests run beside the product's own. Elsewhere the step says what is missing, and the
 * tests that need it are skipped with that reason.
 */
async function preparePrograms(progress: Progress): Promise<void> {
  await progress.step("programs for tests", async (say) => {
    const served = existsSync("/run/systemd/system");
    try {
      await ensurePrograms("Some tests", served ? tried : [...tried, sshServer], say);
      say("up to date");
    } catch (error) {
      if (!(error instanceof ExplainedError)) throw error;
      say(`${error.message} ${error.fix}`);
    }
  });
}

/** Returns whether tests that these filters name look into the image of virtual machines or start some. */
async function needMachines(filters: readonly string[]): Promise<boolean> {
  const files = (await readdir(join(checkout, "test"), { recursive: true }))
    .map((file) => join("test", file))
    .filter((file) =>
      /^test\/(system\/(machine|collector-host|recovery-machine)|cloud-init\/schema)[\w-]*\.test\.ts$/.test(file),
    );
  return filters.length === 0 || files.some((file) => filters.some((filter) => file.includes(filter)));
}

/** Makes ready what tests of machines start. Where that cannot be, the step says why, and they are skipped with it. */
async function prepareMachines(progress: Progress, signal: AbortSignal): Promise<void> {
  for (const { name, prepare: ready } of preparations(process.env))
    await progress.step(name, async (say) => {
      try {
        say(await ready(say, signal));
      } catch (error) {
        if (!(error instanceof ExplainedError)) throw error;
        say(`${error.message} ${error.fix}`);
      }
    });
}

function suiteOf(suite: string | undefined): (typeof fullCounts)[string] {
  const full = suite === undefined ? undefined : fullCounts[suite];
  if (full !== undefined) return full;
  throw new BadInput("The command", [
    {
      path: "suite",
      value: suite,
      message: suite === undefined ? "No suite is named." : `There is no suite "${suite}".`,
      fix: `The suites with full counts are ${Object.keys(fullCounts).toSorted().join(", ")}.`,
    },
  ]);
}

async function runTests(filters: readonly string[], counts: Readonly<Record<string, string>>): Promise<number> {
  const runner = join(checkout, "node_modules", "vitest", "vitest.mjs");
  const child = spawn(process.execPath, [runner, "run", ...filters], {
    cwd: checkout,
    env: { ...process.env, ...counts },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return code ?? 1;
}
