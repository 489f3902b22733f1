import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Inventory, InventoryFile } from "../inventory.ts";
import { findProviders } from "../providers/registry.ts";
import { StackConfig } from "../stack-config.ts";
import { configReference } from "./reference.ts";

/** Run as a program, this writes the JSON Schemas beside it that are published with the project, and `docs/config.md`. */

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

/** Returns the text of `docs/config.md` for the checkout in `folder`. */
export async function referenceIn(folder: string): Promise<string> {
  const examples = join(folder, "docs", "examples");
  const files = (await readdir(examples)).filter((file) => file.endsWith(".yaml")).toSorted();
  const texts = await Promise.all(files.map((file) => readFile(join(examples, file), "utf8")));
  const titled = files.map((file, index) => ({ title: file.replace(".yaml", ""), text: texts[index] ?? "" }));
  return configReference(findProviders(join(folder, "infra"), undefined).facts.values(), titled);
}

if (import.meta.main) {
  await writeSchemas(import.meta.dirname);
  const checkout = join(import.meta.dirname, "..", "..");
  await writeFile(join(checkout, "docs", "config.md"), await referenceIn(checkout));
}
