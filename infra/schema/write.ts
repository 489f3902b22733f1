import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Inventory, InventoryFile } from "../inventory.ts";
import { StackConfig } from "../stack-config.ts";

/** Run as a program, this writes the JSON Schemas that are published with the project beside it. */

/**
 * Returns the published JSON Schemas by file name: of a stack's file `Pulumi.<stack>.yaml` as a user writes it, of the
 * stack's output `inventory`, and of the file that the collector reads.
 */
export function schemas(): Readonly<Record<string, unknown>> {
  const stackFile = z.looseObject({ config: StackConfig.optional() });
  return {
    "stack-config.schema.json": { title: "A stack of GradientLab", ...z.toJSONSchema(stackFile, { io: "input" }) },
    "inventory.schema.json": { title: "The inventory of a stack", ...z.toJSONSchema(Inventory, { io: "input" }) },
    "inventory-file.schema.json": { title: "inventory.json", ...z.toJSONSchema(InventoryFile, { io: "input" }) },
  };
}

/** Writes the schemas into `folder`. */
export async function writeSchemas(folder: string): Promise<void> {
  for (const [name, schema] of Object.entries(schemas()))
    await writeFile(join(folder, name), `${JSON.stringify(schema, null, 2)}\n`);
}

if (import.meta.main) await writeSchemas(import.meta.dirname);
