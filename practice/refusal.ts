import type { z } from "zod";
import { problemsOf } from "../infra/problem.ts";

/** A request that the practice network does not grant: the HTTP status, and the envelope's own code. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly statusCode: number;
  readonly code: number;

  constructor(statusCode: number, message: string, code: number = statusCode) {
    super(message);
    this.statusCode = statusCode;
    this.code = code;
  }
}

/** The network's envelope around every answer of its JSON API; `code` 200 is success. */
export interface Envelope {
  readonly code: number;
  readonly data: unknown;
  readonly msg: string;
}

/** Returns the envelope of a granted request. */
export function granted(data: unknown): Envelope {
  return { code: 200, data, msg: "success" };
}

/** Returns `input` as the schema reads it. Throws a `Refusal` with status 400 that names every wrong field. */
export function readBody<T>(schema: z.ZodType<T>, input: unknown): T {
  const read = schema.safeParse(input);
  if (read.success) return read.data;
  const problems = problemsOf(read.error, input, "body");
  throw new Refusal(400, problems.map(({ message, fix }) => `${message} ${fix}`).join(" "));
}
