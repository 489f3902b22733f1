import type { z } from "zod";

/** One mistake in an input: where it stands, what stood there, and what to change. */
export interface Problem {
  /** Dotted path of the field as the user wrote it, for example `gradientlab:fleet.groups.home.count`. */
  readonly path: string;
  /** The value found, as text; `undefined` when the field is missing. */
  readonly value: string | undefined;
  /** A sentence that names the field and the value. */
  readonly message: string;
  /** What to change, as an instruction. */
  readonly fix: string;
}

/** An error a user can act on: a stable code, a sentence, and the fix. */
export class ExplainedError extends Error {
  override readonly name: string = "ExplainedError";
  readonly code: string;
  readonly fix: string;

  constructor(code: string, message: string, fix: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.fix = fix;
  }
}

/** Bad input. Holds every mistake found, in the order of their paths; commands exit with 2 on it. */
export class BadInput extends ExplainedError {
  override readonly name = "BadInput";
  readonly problems: readonly Problem[];

  constructor(what: string, problems: readonly Problem[]) {
    const list = problems.map((p) => `  ${p.message} ${p.fix}`.trimEnd()).join("\n");
    const count = problems.length === 1 ? "1 mistake" : `${problems.length} mistakes`;
    super("bad-input", `${what} has ${count}:\n${list}`, "Correct the fields named and try again.");
    this.problems = problems;
  }
}

/** Returns `value` as short text for an error message: JSON, cut at 60 characters. */
export function quoted(value: unknown): string {
  const text = typeof value === "bigint" ? value.toString() : (JSON.stringify(value) ?? "nothing");
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Returns the value at `path` inside `input`, or `undefined` where the path leads nowhere. */
function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (at !== null && typeof at === "object" ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    input,
  );
}

/**
 * Turns a schema's complaints into problems, one for each, with the path under `root`.
 * `fix` may give a better instruction for a path than the schema's own message.
 */
export function problemsOf(
  error: z.ZodError,
  input: unknown,
  root: string,
  fix: (path: string, issue: z.core.$ZodIssue) => string | undefined = () => undefined,
): Problem[] {
  return error.issues.flatMap((issue) => {
    const keys = issue.code === "unrecognized_keys" ? issue.keys : [undefined];
    return keys.map((key) => {
      const at = key === undefined ? issue.path : [...issue.path, key];
      const path = [root, ...at.map(String)].filter((part) => part !== "").join(".");
      const value = valueAt(input, at);
      const shown = value === undefined ? undefined : quoted(value);
      const message =
        key !== undefined
          ? `${path} is not a known field.`
          : shown === undefined
            ? `${path} is missing.`
            : `${path} is ${shown}.`;
      return { path, value: shown, message, fix: fix(path, issue) ?? `${issue.message}.` };
    });
  });
}
