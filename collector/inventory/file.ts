import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { InventoryFile } from "../../infra/inventory.ts";
import { ExplainedError, problemsOf } from "../../infra/problem.ts";

/**
 * Returns the inventory that `file` holds, or undefined where there is no such file.
 * @throws ExplainedError when it is not whole, of another schema, or not what its own SHA-256 was made of.
 */
export async function readInventoryFile(file: string): Promise<InventoryFile | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw refused(file, error instanceof Error ? error.message : String(error));
  }
  return parseInventoryFile(text, file);
}

/** Returns the inventory that `text` holds; `file` names it in messages. @throws ExplainedError as above. */
export function parseInventoryFile(text: string, file: string): InventoryFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw refused(file, `it is not JSON (${error.message})`);
  }
  const result = InventoryFile.safeParse(value);
  if (!result.success) {
    const [first, ...others] = problemsOf(result.error, value, "");
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    throw refused(file, `${first?.message ?? "it has another form"} ${first?.fix ?? ""}${more}`.trim());
  }
  // The sum is of the JSON as it was written; fields that this release does not know are part of it.
  const written = JSON.stringify((value as { inventory: unknown }).inventory);
  const sum = createHash("sha256").update(written, "utf8").digest("hex");
  if (sum !== result.data.sha256) throw refused(file, "its sha256 is not that of its inventory");
  return result.data;
}

function refused(file: string, why: string): ExplainedError {
  return new ExplainedError(
    "inventory-refused",
    `The inventory ${file} was refused: ${why}.`,
    "The last good one stays in force; run the program again to write a whole one.",
  );
}
