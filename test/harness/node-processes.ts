import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessIdentity } from "../../infra/process-identity.ts";
import { commandLine, processTree } from "./checkout.ts";

/** Returns the folder of a node of the home folder `home`. */
export function nodeFolder(home: string, key: string): string {
  return join(home, "nodes", key);
}

/** Returns who the outermost process of a node is. */
export function supervisorOf(home: string, key: string): ProcessIdentity {
  return JSON.parse(readFileSync(join(nodeFolder(home, key), "supervisor.json"), "utf8")) as ProcessIdentity;
}

/** Returns the process number of the main process of a node's browser, or `undefined` while there is none. */
export function browserOf(home: string, key: string): number | undefined {
  return processTree(supervisorOf(home, key).pid).find((pid) => {
    const words = commandLine(pid);
    return words.includes("--user-data-dir=") && !words.includes("--type=") && !words.startsWith("flock");
  });
}

/** A line of a journal, as far as telling it from every other. */
export interface WrittenLine {
  readonly journal: string;
  readonly n: number;
  readonly crc: string;
}

/** Returns the whole lines that stand in a node's folder now, or in a journal that was saved from a removed one. */
export function writtenLines(path: string): WrittenLine[] {
  const journal = join(path, "journal");
  const files = path.endsWith(".jsonl") ? [path] : filesIn(journal).filter((file) => /\/\d+\.jsonl$/.test(file));
  return files.flatMap((file) => {
    const whole = readFileSync(file, "utf8").split("\n").slice(0, -1);
    return whole.flatMap((text) => {
      const { j, n, crc } = JSON.parse(text) as { j?: string; n: number; crc: string };
      return j === undefined ? [] : [{ journal: j, n, crc }];
    });
  });
}

/** Returns the paths of all files below a folder; none where it is not there, or no more. */
export function filesIn(folder: string): string[] {
  return entriesOf(folder)
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesIn(path);
      return entry.isFile() ? [path] : [];
    })
    .toSorted();
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
