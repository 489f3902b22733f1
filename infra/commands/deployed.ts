import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Inventory, InventoryFile } from "../inventory.ts";

/** Returns the inventory last written to this home folder; an empty one where no fleet was ever made. */
export async function readInventory(home: string): Promise<Inventory> {
  let text: string;
  try {
    text = await readFile(join(home, "inventory.json"), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return { schema: 1, stack: "", phase: null, freeUntil: [], shared: [], nodes: [] };
  }
  return InventoryFile.parse(JSON.parse(text)).inventory;
}
