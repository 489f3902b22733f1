import { readFileSync } from "node:fs";
import { z } from "zod";
import { BadInput, problemsOf } from "../problem.ts";

/** What the clouds of a trial or a test are like, and what fails in them when. `*` in a pattern is any text. */

const Pattern = z.string().min(1);
const Failure = z.strictObject({
  cloud: z.string(),
  on: z.enum(["configure", "create", "read", "update", "delete", "invoke"]),
  type: Pattern.default("*"),
  /** The resource's name in the program. */
  name: Pattern.default("*"),
  /** The case of the cloud's rules that it fails with. */
  case: z.string(),
  /** Calls that pass before it begins to fail, and calls that fail then. */
  after: z.int().nonnegative().default(0),
  times: z.union([z.int().positive(), z.literal("always")]).default("always"),
  /** What the cloud asks the caller to wait before it tries again. */
  retryAfterSeconds: z.number().positive().optional(),
});

const Capacity = z.strictObject({
  cloud: z.string(),
  domain: Pattern.default("*"),
  shape: Pattern.default("*"),
  /** Machines that it holds at most. */
  holds: z.int().nonnegative(),
  /** Tries that find nothing before capacity comes. */
  comesAfterTries: z.int().positive().optional(),
  /** True where the cloud accepts first and finds out later. */
  later: z.boolean().default(false),
});

export const Scenario = z.strictObject({
  schema: z.literal(1),
  /** Seconds that pass in the clouds in one second here. */
  speed: z.number().positive().default(600),
  failures: z.array(Failure).default([]),
  capacity: z.array(Capacity).default([]),
  /** Limits by the names of the clouds' quotas. */
  quotas: z.record(z.string(), z.record(z.string(), z.number().nonnegative())).default({}),
  /** Domains that offer a shape, where not all do. */
  offers: z.array(z.strictObject({ cloud: z.string(), shape: Pattern, domains: z.array(Pattern) })).default([]),
  /** The address of every machine, where they stand for one real machine. */
  machineAddress: z.string().optional(),
});
export type Scenario = z.infer<typeof Scenario>;
/** A scenario as it is written, with what may be left out. */
export type WrittenScenario = z.input<typeof Scenario>;

/** Returns the scenario in a file; where there is none, clouds in which nothing fails. Throws `BadInput`. */
export function readScenario(file: string): Scenario {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return Scenario.parse({ schema: 1 });
  }
  const value: unknown = JSON.parse(text);
  const parsed = Scenario.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BadInput(file, problemsOf(parsed.error, value, ""));
}
