import { readFile, stat } from "node:fs/promises";
import { ExplainedError } from "../infra/problem.ts";
import { type Opener, opened, type Purpose } from "./credentials.ts";
import { othersMayRead } from "./file-mode.ts";

/** How messages speak of a file that holds secrets. */
export interface PrivateFile {
  readonly purpose: Purpose;
  /** The beginning of the errors' codes: `-open` and `-form` follow. */
  readonly code: string;
  /** What a message says of a file that others may read. */
  readonly open: string;
  /** What a message says of a file that is no JSON, and what to do. */
  readonly notJson: string;
  readonly fix: string;
}

/**
 * Returns the JSON in a file that its owner alone may read, decrypted where it is encrypted. Its contents stand in no
 * message.
 * @throws ExplainedError when others may read it, it is no JSON, or it cannot be decrypted; the system's error where it
 * cannot be read.
 */
export async function readPrivateJson(
  file: string,
  { purpose, code, open, notJson, fix }: PrivateFile,
  opener: Opener,
): Promise<unknown> {
  const { mode } = await stat(file);
  if (othersMayRead(file, mode)) throw new ExplainedError(`${code}-open`, open, `Run chmod 600 ${file}.`);
  const text = await readFile(file, "utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ExplainedError(`${code}-form`, notJson, fix);
  }
  return opened(value, file, purpose, opener);
}
