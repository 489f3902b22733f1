import { readFile } from "node:fs/promises";
import { z } from "zod";
import { BadInput, ExplainedError, problemsOf } from "../../infra/problem.ts";

const seconds = (usual: number) =>
  z
    .int("Give whole seconds")
    .min(0, "Give seconds from 0")
    .max(30 * 86_400, "Give at most 30 days")
    .default(usual);
const count = (usual: number, least: number) =>
  z.int("Give a whole number").min(least, `Give ${least} or more`).max(10_000, "Give at most 10000").default(usual);
const share = (usual: number) =>
  z.number("Give a number").gt(0, "Give more than 0").max(1, "Give at most 1").default(usual);
const enabled = z.boolean("Write true or false");

const File = z.strictObject({
  schema: z.literal(1, "Write 1"),
  enabled: enabled.default(true),
  /** Groups that are to be treated otherwise than the fleet. */
  groups: z
    .record(z.string().regex(/^[a-z][a-z0-9-]{0,19}$/, "Use a group's name"), z.strictObject({ enabled }))
    .default({}),
  /** How long trouble has to last, seen by the collector, before the first rung. */
  graceSeconds: z
    .strictObject({
      /** After the collector's own start nothing is done for this long: what it knows is old. */
      start: seconds(300),
      software: seconds(900),
      machine: seconds(3_600),
      verdict: seconds(7_200),
    })
    .prefault({}),
  /** How long a rung is given to work before the next one. */
  waitSeconds: z
    .strictObject({
      runtime: seconds(900),
      workload: seconds(900),
      reboot: seconds(1_800),
      /** After any rung that a verdict asked for: the network has to look again. */
      verdict: seconds(7_200),
    })
    .prefault({}),
  /** How long all has to be well before an episode is over and the ladder begins anew. */
  steadySeconds: seconds(600),
  limits: z.strictObject({ perNodePerDay: count(4, 0), atOnce: count(3, 0), perHour: count(12, 0) }).prefault({}),
  /** Nothing is done while at least `count` nodes and this share of the fleet are in trouble. */
  brake: z.strictObject({ share: share(0.3), count: count(5, 1), overrideSeconds: seconds(3_600) }).prefault({}),
  /** Verdicts are the account's while at least `count` of its nodes and this share of them have no good one. */
  account: z.strictObject({ share: share(0.5), count: count(3, 1) }).prefault({}),
});

/** What the operator asks of recovery. */
export type RecoverySettings = z.infer<typeof File>;

/** What holds where there is no settings file. */
export const usualRecovery: RecoverySettings = File.parse({ schema: 1 });

/** Returns whether nodes of `group` may be repaired: the group's own word counts before the fleet's. */
export function repairs(settings: RecoverySettings, group: string): boolean {
  return (Object.hasOwn(settings.groups, group) ? settings.groups[group]?.enabled : undefined) ?? settings.enabled;
}

/**
 * Returns the settings in `file`.
 * @throws ExplainedError where there is no such file or it is no JSON. @throws BadInput with every mistake in it.
 */
export async function readRecoverySettings(file: string): Promise<RecoverySettings> {
  const value = await valueIn(file);
  const result = File.safeParse(value);
  if (result.success) return result.data;
  throw new BadInput(`The recovery settings ${file}`, problemsOf(result.error, value, "", fixOf));
}

function fixOf(_path: string, { code }: z.core.$ZodIssue): string | undefined {
  if (code === "unrecognized_keys") return "Remove it.";
  return code === "invalid_key" ? "Use a group's name." : undefined;
}

async function valueIn(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new ExplainedError("recovery-form", `The recovery settings ${file} are not JSON.`, "Write them anew.");
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new ExplainedError(
      "recovery-missing",
      `There are no recovery settings ${file}.`,
      "Write them, or unset RECOVERY to repair nodes as usual.",
    );
  }
}
