import { readFile, stat } from "node:fs/promises";
import { ExplainedError } from "../infra/problem.ts";

/** How messages speak of a file that holds secrets. */
export interface PrivateFile {
  /** The beginning of the errors' codes: `-open` and `-form` follow. */
  readonly code: string;
  /** What a message says of a file that others may read. */
  readonly open: string;
  /** What a message says of a file that is no JSON, and what to do. */
  readonly notJson: string;
  readonly fix: string;
}

/**
 * Returns the JSON in a file that its owner alone may read. Its contents stand in no message.
 * @throws ExplainedError when others may read it, or it is no JSON; the system's error where it cannot be read.
 */
export async function readPrivateJson(file: string, { code, open, notJson, fix }: PrivateFile): Promise<unknown> {
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) throw new ExplainedError(`${code}-open`, open, `Run chmod 600 ${file}.`);
  const text = await readFile(file, "utf8");
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ExplainedError(`${code}-form`, notJson, fix);
  }
}
