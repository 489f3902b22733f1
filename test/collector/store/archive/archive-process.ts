import { openArchives } from "../../../../collector/store/archive/archives.ts";
import { archiveOldMonths } from "../../../../collector/store/archive/archiving.ts";
import { connectAsOwner, openDatabase } from "../../../../collector/store/database.ts";
import { eraseLines } from "../../../../collector/store/erase.ts";
import { nodeIdOf } from "../../../../collector/store/views.ts";

/** Archives or erases, as its arguments say, and tells its parent of each step: what a test kills half-way. */
const [what = "", url = "", folder = ""] = process.argv.slice(2);
const silent = (): void => undefined;
const say = (text: string): void => void process.send?.(text);
const archives = openArchives(folder);
const [verb, day = ""] = what.split(" ");
const database = verb === "archive" ? await openDatabase(url, silent) : connectAsOwner(url, silent);
if (verb === "archive") {
  await archiveOldMonths(database, archives, new Date(day), new AbortController().signal, say);
} else {
  const nodeId = (await nodeIdOf(database, "home/0")) ?? 0;
  await eraseLines(database, archives, nodeId, new Date(day), { when: new Date(0), why: "asked" }, say);
}
await database.destroy();
process.disconnect();
