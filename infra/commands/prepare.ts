import { build as buildPage, pageFolder } from "../../collector/web/build.ts";
import { buildExtension, builtExtension } from "../../practice/extension-build.ts";
import { findBrowser } from "../browser.ts";
import { build } from "../build.ts";
import { buildWhenStale } from "../engine/artefact.ts";
import { ensureCli, goNeeded } from "../engine/cli.ts";
import { cacheFolder, ensureHome, type Home } from "../engine/environment.ts";
import { BadInput, ExplainedError } from "../problem.ts";
import { preflight } from "./preflight.ts";
import type { Progress, Say } from "./progress.ts";

/** What a command may need made ready. */
export type Need = "engine" | "browser" | "page";

/** Errors of the steps by which this machine lacks something, as the check before them found nothing amiss. */
const lacks: readonly string[] = ["no-engine", "no-browser", "bad-browser"];

/** What `prepare` may be given. */
export interface PrepareOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** What else installs packages. It is begun when the browser is there, because APT refuses two at once. */
  readonly afterBrowser?: (signal: AbortSignal) => Promise<void>;
}

/**
 * Checks the machine and makes ready what a command needs, side by side; what is ready already takes no time. Returns
 * the home that `env` names. Throws `BadInput` naming all that the machine lacks, or the error of the step that failed; then no
 * step is under way any more.
 */
export async function prepare(
  progress: Progress,
  needs: readonly Need[],
  { env = process.env, afterBrowser }: PrepareOptions = {},
): Promise<Home> {
  const place = await ensureHome(env);
  const failed = new AbortController();
  const cli = { env: place.env, cache: cacheFolder(place.env), signal: failed.signal };
  progress.note(await preflight(place.home, () => goNeeded(cli)));
  const step = (need: Need, name: string, work: (say: Say) => Promise<string>): Promise<void>[] =>
    needs.includes(need) ? [progress.step(name, async (say) => say(await work(say)))] : [];
  const compiled = progress.step("program", async (say) => say((await build()) ? "compiled" : "up to date"));
  const extension = progress.step("practice extension", async (say) =>
    say(
      made(await buildWhenStale(builtExtension, ["practice/extension/**/*"], (outDir) => buildExtension({ outDir }))),
    ),
  );
  const browser = step("browser", "browser", async (say) => (await findBrowser({ say })).version);
  const steps = [
    compiled,
    extension,
    ...step("engine", "engine", (say) => ensureCli(cli, say, compiled)),
    ...browser,
    ...(afterBrowser === undefined ? [] : [Promise.all(browser).then(() => afterBrowser(failed.signal))]),
    ...step("page", "page", async () =>
      made(await buildWhenStale(pageFolder, ["collector/web/**/*"], (outDir) => buildPage({ outDir }))),
    ),
  ];
  const errors: unknown[] = [];
  const settled = steps.map((ending) =>
    ending.catch((error: unknown) => {
      // The first is why the others are given up: what they then say is no news.
      if (!failed.signal.aborted || isLack(error)) errors.push(error);
      failed.abort();
    }),
  );
  await Promise.all(settled);
  if (errors.length === 0) return place;
  if (!errors.every(isLack)) throw errors[0];
  const problems = errors.map(({ code, message, fix }) => ({ path: code, value: undefined, message, fix }));
  throw new BadInput("This machine", problems);
}

function isLack(error: unknown): error is ExplainedError {
  return error instanceof ExplainedError && lacks.includes(error.code);
}

function made(anew: boolean): string {
  return anew ? "built" : "up to date";
}
