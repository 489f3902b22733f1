import { createHash } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { Inventory } from "../inventory.ts";
import { changedFields, orUnknown, type Properties, type Resource, unknownValue } from "./resource.ts";

const Inputs = z.strictObject({ groups: z.record(z.string(), z.string()), inventory: orUnknown(z.string()) });

const fileIn = (home: string): string => join(home, "inventory.json");

/**
 * The inventory as a file for the collector. It is the program's last resource, so an `up` that failed half-way leaves
 * the last complete one. Its end writes an inventory without nodes: the nodes are deleted after it.
 */
export const inventoryFile: Resource<z.infer<typeof Inputs>> = {
  inputs: Inputs,
  outputs: ["sha256"],

  notice(before, wanted, { say }) {
    const old = new Map(Object.entries((before?.groups ?? {}) as Record<string, string>));
    const added = Object.entries(wanted.groups).filter(([name]) => !old.has(name));
    for (const [name, what] of old) {
      if (name in wanted.groups) continue;
      const [twin] = added.find(([, other]) => other === what) ?? [];
      if (twin !== undefined)
        say(
          `The group ${name} is gone from the config and ${twin} is new with the same nodes: a name is for ever, so this removes the nodes of ${name} and makes others. For another name on screens, keep ${name} and set its label.`,
        );
    }
  },

  difference: (before, wanted) => ({ updates: changedFields(before, wanted), replaces: [] }),

  async create({ inventory }, { home }) {
    return { id: "inventory", outputs: { sha256: await write(home, parsed(inventory)) } };
  },

  async read(_id, inputs, _outputs, { home }) {
    const found = await readIfThere(fileIn(home));
    if (found === undefined) return null;
    const sha256 = sumOf(found);
    const wanted = sum(JSON.stringify(parsed(String(inputs.inventory))));
    // Another content than the one last written: gone as far as the collector can tell, and so it is written again.
    return sha256 === wanted ? { sha256 } : null;
  },

  async update(_id, { inventory }, { home }) {
    return { sha256: await write(home, parsed(inventory)) };
  },

  async delete(_id, inputs, { home }) {
    const { stack } = parsed(String(inputs.inventory));
    await write(home, { schema: 1, stack, phase: null, freeUntil: [], shared: [], nodes: [] });
  },
};

function parsed(text: string): Inventory {
  if (text === unknownValue) throw new Error("the inventory is written only when every node is known");
  return Inventory.parse(JSON.parse(text));
}

function sum(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

/** Returns the sum of the inventory in a file's text, or `undefined` where the text is none of ours. */
function sumOf(text: string): string | undefined {
  try {
    return sum(JSON.stringify((JSON.parse(text) as Properties).inventory));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Writes the file whole or not at all and returns the inventory's sum. */
async function write(home: string, inventory: Inventory): Promise<string> {
  const text = JSON.stringify(inventory);
  const sha256 = sum(text);
  const file = fileIn(home);
  const part = `${file}.${process.pid}.part`;
  const handle = await open(part, "w", 0o600);
  try {
    const writtenAt = new Date().toISOString();
    await handle.writeFile(`{"schema":1,"sha256":"${sha256}","writtenAt":"${writtenAt}","inventory":${text}}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(part, file);
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return sha256;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
