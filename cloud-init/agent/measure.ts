import type { MeasureError } from "./line.ts";

/** Runs measures and keeps what failed: a failed measure leaves its field out and stands in `errors`. */
export interface Measures {
  readonly errors: MeasureError[];
  /** Returns what `measure` returns; on an error notes it for `field` and returns `undefined`. */
  attempt<T>(field: string, measure: () => T | Promise<T>): Promise<T | undefined>;
  /** Notes that `field` could not be measured. */
  fail(field: string, code: string): void;
}

/** A measure that failed for a reason with a short code of its own. */
export class MeasureFailed extends Error {
  override readonly name = "MeasureFailed";
  readonly code: string;

  constructor(code: string, message = code) {
    super(message);
    this.code = code;
  }
}

/** Returns an empty set of measures. */
export function newMeasures(): Measures {
  const errors: MeasureError[] = [];
  return {
    errors,
    fail(field, code) {
      errors.push({ field, code });
    },
    async attempt(field, measure) {
      try {
        return await measure();
      } catch (error) {
        errors.push({ field, code: codeOf(error) });
        return undefined;
      }
    },
  };
}

/** Returns a short code for an error: the system's or our own; its class name where it has none. */
export function codeOf(error: unknown): string {
  if (error instanceof Error) {
    const { code } = error as NodeJS.ErrnoException;
    return typeof code === "string" ? code : error.name;
  }
  return "unknown";
}
