import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { ExplainedError } from "../problem.ts";
import { cliBinary } from "./cli.ts";
import { checkout, type Home } from "./environment.ts";

/** How a run of the command line tool ended, and all that it printed. */
export interface PulumiRun {
  readonly code: number;
  readonly output: string;
}

/** What a run of the command line tool may be given. */
export interface PulumiOptions {
  /** The project's folder; the checkout where it is not given. */
  readonly folder?: string;
  /** Hears every line as it is printed. */
  readonly onLine?: (line: string) => void;
  /** Its standard input: the way in for a secret, which is never an argument. */
  readonly input?: string;
  /** Interrupts the run as Ctrl-C does: the engine ends what it began and keeps its state whole. */
  readonly signal?: AbortSignal;
}

/** The tool's exit code for a stack that does not exist. */
const noSuchStack = 6;

/**
 * Runs the Pulumi command line tool without a terminal, so that it asks nothing, and returns its exit code and output.
 * Throws `ExplainedError` where `ensureCli` has not put it in place.
 */
export async function runPulumi(place: Home, args: readonly string[], options: PulumiOptions = {}): Promise<PulumiRun> {
  const binary = cliBinary(place.env);
  if (!existsSync(binary))
    throw new ExplainedError("no-engine", `The engine is not in place: ${binary} is missing.`, "Run: npm run up");
  const child = spawn(binary, [...args], {
    cwd: options.folder ?? checkout,
    env: {
      ...place.env,
      // The language host beside the tool, and the Node.js that runs this, come before any other of the machine.
      PATH: [dirname(binary), dirname(process.execPath), place.env.PATH].filter(Boolean).join(delimiter),
      NODE_COMPILE_CACHE: join(place.home, "compile-cache"),
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // Not every command reads what it is given.
  child.stdin.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") child.emit("error", error);
  });
  child.stdin.end(options.input ?? "");
  const interrupt = (): boolean => child.kill("SIGINT");
  if (options.signal?.aborted) interrupt();
  options.signal?.addEventListener("abort", interrupt);
  const lines: string[] = [];
  const read = async (stream: NodeJS.ReadableStream): Promise<void> => {
    for await (const line of createInterface({ input: stream })) {
      lines.push(line);
      options.onLine?.(line);
    }
  };
  const reading = Promise.all([read(child.stdout), read(child.stderr)]);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    await reading;
    return { code: code ?? 1, output: lines.join("\n") };
  } finally {
    options.signal?.removeEventListener("abort", interrupt);
  }
}

/** Runs the tool and returns its output; throws `ExplainedError` with what it printed where it failed. */
async function mustRun(place: Home, args: readonly string[], options: PulumiOptions): Promise<string> {
  const { code, output } = await runPulumi(place, args, options);
  if (code !== 0)
    throw new ExplainedError(
      "engine",
      `pulumi ${args.join(" ")} failed: ${output.trim()}`,
      "Mend what it names and run the command again.",
    );
  return output;
}

/** Returns the stack's config as the program gets it: texts by full name, what is set encrypted left out. */
export async function stackConfig(
  place: Home,
  stack: string,
  folder: string = checkout,
): Promise<Record<string, string>> {
  const output = await mustRun(place, ["config", "--json", "--stack", stack], { folder });
  const values = z.record(z.string(), z.object({ value: z.string().optional() })).parse(JSON.parse(output));
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, { value }]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** Returns one output of the stack as the engine last knew it; `undefined` where the stack has none of that name. */
export async function stackOutput(
  place: Home,
  stack: string,
  name: string,
  folder: string = checkout,
): Promise<unknown> {
  const text = await mustRun(place, ["stack", "output", "--json", "--stack", stack], { folder });
  return z.record(z.string(), z.unknown()).parse(JSON.parse(text))[name];
}

const Exported = z.object({
  deployment: z.object({
    resources: z
      .array(
        z.object({
          urn: z.string(),
          id: z.string().optional(),
          initErrors: z.array(z.string()).nullish(),
          delete: z.boolean().nullish(),
          pendingReplacement: z.boolean().nullish(),
        }),
      )
      .nullish(),
  }),
});

/**
 * Returns the resources that are there as the engine knows it, each as `<type> <name>` in the words of its diagnostics. One
 * that failed after its provider had accepted it, or that is only kept until another is in its place, is not there.
 */
export async function madeResources(place: Home, stack: string, folder: string = checkout): Promise<Set<string>> {
  const { deployment } = Exported.parse(
    JSON.parse(await mustRun(place, ["stack", "export", "--stack", stack], { folder })),
  );
  const there = (deployment.resources ?? []).filter(
    (each) => each.id !== undefined && !each.initErrors?.length && !each.delete && !each.pendingReplacement,
  );
  return new Set(
    there.map(({ urn }) => {
      const [, , types = "", ...name] = urn.split("::");
      return `${types
        .split("$")
        .at(-1)
        ?.replace(/\/[^:]*/, "")} ${name.join("::")}`;
    }),
  );
}

/** How the engine's state tells of a resource that failed and stayed: its type, and a property with its value. */
export interface FailureSign {
  readonly type: string;
  readonly property: string;
  readonly value: string;
}

const Resources = z.looseObject({
  deployment: z.looseObject({
    resources: z
      .array(
        z.looseObject({
          urn: z.string(),
          type: z.string(),
          outputs: z.record(z.string(), z.unknown()).optional(),
          initErrors: z.array(z.string()).nullish(),
        }),
      )
      .nullish(),
  }),
});

/**
 * Has the engine try again, at its next run, what its provider keeps as failed: a refresh takes a failed resource that is
 * still there for a sound one, and nothing would ever mend it (https://github.com/pulumi/pulumi/issues/17949). Returns the
 * names of those that it had forgotten, sorted.
 */
export async function recallFailures(
  place: Home,
  stack: string,
  folder: string,
  signs: readonly FailureSign[],
): Promise<readonly string[]> {
  const exported = Resources.parse(JSON.parse(await mustRun(place, ["stack", "export", "--stack", stack], { folder })));
  const failed = (exported.deployment.resources ?? []).filter(
    ({ type, outputs, initErrors }) =>
      !initErrors?.length && signs.some((sign) => sign.type === type && outputs?.[sign.property] === sign.value),
  );
  if (failed.length === 0) return [];
  for (const resource of failed) resource.initErrors = ["The provider says that it failed."];
  await mustRun(place, ["stack", "import", "--stack", stack], { folder, input: JSON.stringify(exported) });
  return failed.map(({ urn }) => urn.split("::").slice(3).join("::")).toSorted();
}

/** Returns whether the stack exists in this checkout's own state; nothing is made. */
export async function stackExists(place: Home, stack: string, folder: string = checkout): Promise<boolean> {
  const { code, output } = await runPulumi(place, ["stack", "select", stack], { folder });
  if (code !== 0 && code !== noSuchStack)
    throw new ExplainedError("engine", `pulumi stack select ${stack} failed: ${output.trim()}`, "Mend what it names.");
  return code === 0;
}

/**
 * Selects the stack in this checkout's own state, makes it where it is missing, gives it its secret, and settles what an
 * engine that was killed left behind. Returns a sentence for the user where the stack's file got a salt and a secret of
 * this checkout, else `undefined`. Throws `foreign-secret` where that file was encrypted with another passphrase.
 */
export async function ensureStack(place: Home, stack: string, folder: string = checkout): Promise<string | undefined> {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  const before = existsSync(file) ? await readFile(file, "utf8") : "";
  await mustRun(place, ["stack", "select", stack, "--create"], { folder });
  const name = ["gradientlab:secret", "--stack", stack];
  const { code, output } = await runPulumi(place, ["config", "get", ...name], { folder });
  if (/incorrect passphrase|message authentication failed/.test(output))
    throw new ExplainedError(
      "foreign-secret",
      `${file} was encrypted with another passphrase than ${place.env.PULUMI_CONFIG_PASSPHRASE_FILE}.`,
      'Remove its lines "encryptionsalt" and "gradientlab:secret", or put that passphrase back.',
    );
  if (code !== 0)
    await mustRun(place, ["config", "set", "--secret", ...name], { folder, input: randomBytes(32).toString("base64") });
  await settleInterrupted(place, stack, folder);
  const after = await readFile(file, "utf8");
  return after === before
    ? undefined
    : `Pulumi.${stack}.yaml now holds this checkout's own salt and stack secret: keep them out of a repository that others clone.`;
}

/** What the file backend writes into a lock, and the part of its state file that is read here. */
const Lock = z.object({ pid: z.int(), hostname: z.string() });
const State = z.object({
  checkpoint: z.object({
    latest: z
      .object({
        pending_operations: z.array(z.object({ type: z.string(), resource: z.object({ type: z.string() }) })).nullish(),
      })
      .nullish(),
  }),
});

/**
 * Removes the locks of engines that died, and forgets the nodes that such an engine was about to make: making one again
 * adopts what is there. A node of another kind may have been made and be billed, so the engine's own warning stays.
 */
async function settleInterrupted(place: Home, stack: string, folder: string): Promise<void> {
  const project = await projectName(folder);
  const backend = join(place.home, "state", ".pulumi");
  const locks = join(backend, "locks", "organization", project, stack);
  for (const file of existsSync(locks) ? await readdir(locks) : []) {
    if (!file.endsWith(".json")) continue;
    const lock = Lock.safeParse(JSON.parse(await readFile(join(locks, file), "utf8")));
    if (lock.data?.hostname !== hostname() || (await isPulumi(lock.data.pid))) continue;
    for (const name of [file, `${file}.attrs`]) await rm(join(locks, name), { force: true });
  }
  const stateFile = join(backend, "stacks", project, `${stack}.json`);
  if (!existsSync(stateFile)) return;
  const state = State.parse(JSON.parse(await readFile(stateFile, "utf8")));
  const pending = state.checkpoint.latest?.pending_operations ?? [];
  if (pending.length > 0 && pending.every((o) => o.type === "creating" && o.resource.type.startsWith("gradientlab:")))
    await mustRun(place, ["refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", stack], {
      folder,
    });
}

/** Returns whether the process `pid` is an engine: its number may long be another program's. */
async function isPulumi(pid: number): Promise<boolean> {
  try {
    return (await readFile(`/proc/${pid}/comm`, "utf8")) === "pulumi\n";
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH") return false;
    throw error;
  }
}

async function projectName(folder: string): Promise<string> {
  const name = /^name:\s*["']?([\w.-]+)/m.exec(await readFile(join(folder, "Pulumi.yaml"), "utf8"))?.[1];
  if (name === undefined)
    throw new ExplainedError("no-project", `${folder}/Pulumi.yaml has no name.`, "Give it a line name: gradientlab.");
  return name;
}
