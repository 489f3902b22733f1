import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { link, rm, writeFile } from "node:fs/promises";

/**
 * Writes a new file whole, for its owner only, or leaves the one that is there: of two processes at once, one wins.
 * Returns whether this one wrote it.
 */
export async function writeOnce(file: string, text: string): Promise<boolean> {
  if (existsSync(file)) return false;
  const part = `${file}.${randomUUID()}`;
  await writeFile(part, text, { mode: 0o600 });
  try {
    await link(part, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(part);
  }
}
