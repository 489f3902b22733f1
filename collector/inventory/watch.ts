import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { explanationOf, type Log, sentenceOf } from "../log.ts";
import type { Database } from "../store/database.ts";
import { acceptInventory } from "../store/inventory.ts";
import { readInventoryFile } from "./file.ts";

/** What watches the inventory file. */
export interface InventoryWatch {
  /** Looks at the file now, whether or not anything told of a change. */
  look(): Promise<void>;
  stop(): Promise<void>;
}

const pollMs = 2_000;

/**
 * Follows the inventory `file`: its folder's notifications, and a look every two seconds, because notifications are a
 * hint and some file systems give none. A broken or older file is refused with one logged sentence, and the last good
 * one stays. `onAccepted` is called after an inventory was taken.
 */
export function watchInventory(
  file: string,
  database: Database,
  log: Log,
  now: () => Date,
  onAccepted: () => void,
): InventoryWatch {
  let seen = "";
  let busy: Promise<void> | undefined;
  let again = false;
  let watcher: FSWatcher | undefined;

  const look = async (): Promise<void> => {
    const mark = await markOf(file);
    if (mark === seen) return;
    try {
      const inventory = await readInventoryFile(file);
      if (inventory !== undefined) {
        const outcome = await acceptInventory(database, inventory, now());
        if (outcome === "older") {
          log("warn", `The inventory ${file} was refused: it is older than the one in force.`, {
            writtenAt: inventory.writtenAt,
          });
        }
        if (outcome === "accepted") {
          log("info", "inventory-accepted", {
            nodes: inventory.inventory.nodes.length,
            writtenAt: inventory.writtenAt,
          });
          onAccepted();
        }
      }
      seen = mark;
    } catch (error) {
      log("error", sentenceOf(error), explanationOf(error));
      // A refused file is told of once; a database that did not answer is tried again.
      if ((error as { code?: unknown }).code === "inventory-refused") seen = mark;
    }
  };

  const request = (): Promise<void> => {
    if (busy !== undefined) {
      again = true;
      return busy;
    }
    busy = (async () => {
      do {
        again = false;
        await look();
      } while (again);
    })().finally(() => {
      busy = undefined;
    });
    return busy;
  };

  const listen = (): void => {
    if (watcher !== undefined) return;
    try {
      watcher = watch(dirname(file), (_event, name) => {
        if (name === null || name === basename(file)) void request();
      });
      watcher.on("error", () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch (error) {
      // The folder may come later; until then the poll looks.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  };

  listen();
  const poll = setInterval(() => {
    listen();
    void request();
  }, pollMs);

  return {
    look: request,
    async stop() {
      clearInterval(poll);
      watcher?.close();
      await busy;
    },
  };
}

async function markOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(file);
    return `${ino}:${size}:${mtimeMs}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
