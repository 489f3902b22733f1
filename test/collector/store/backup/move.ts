import { restoreBackup } from "../../../../collector/store/backup/restore.ts";
import { takeBackup } from "../../../../collector/store/backup/take.ts";

/** Takes or restores a backup, as its arguments say, and tells its parent of each step: what a test kills half-way. */
const [what, url = "", folder = ""] = process.argv.slice(2);
const say = (text: string): void => void process.send?.(text);
if (what === "take") {
  await takeBackup({ url, folder, release: "0.0.0", now: new Date(0), pieceBytes: 64 * 1024 }, say);
} else {
  await restoreBackup({ url, folder, dataFolder: null }, say);
}
process.disconnect();
