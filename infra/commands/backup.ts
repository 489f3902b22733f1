import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { archivesFolder, openArchives } from "../../collector/store/archive/archives.ts";
import { takeBackup } from "../../collector/store/backup/take.ts";
import { visitDatabase } from "../../collector/store/visit.ts";
import { checkout } from "../engine/environment.ts";
import { homeOf } from "../home.ts";
import { BadInput } from "../problem.ts";
import { progressOn } from "./progress.ts";
import { releaseOf } from "./release.ts";

const pieceBytes = 64 * 1024 * 1024;

export const usage = `npm run backup -- --to <folder> [--without-archives] [--json]

Writes the whole database as it is at one instant into a folder: the rows of every table, compressed, and a manifest that
says how many they are and what they add up to. Archives of months that the database does not hold any more are copied
beside them. The collector may be running. Interrupted, the same command goes on; the
folder is a backup once it says so. npm run restore fills an empty database from it, embedded or at DATABASE_URL.
  --to     a folder that is new or empty, or holds what an interrupted backup wrote
  --without-archives   only list the archives: they are kept in another way
  --json   one JSON object: what was written
`;

/** Takes a backup. Returns 0. Throws `BadInput` naming what is missing or wrong. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      to: { type: "string", default: "" },
      "without-archives": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  if (values.to === "") {
    const fix = "Give the folder to write: --to <folder>.";
    throw new BadInput("The command", [{ path: "--to", value: undefined, message: "--to is missing.", fix }]);
  }
  const folder = resolve(values.to);
  const progress = progressOn(process.stderr);
  const place = { databaseUrl: process.env.DATABASE_URL, dataDirectory: join(homeOf(checkout), "data") };
  const folderOfArchives = archivesFolder(place.dataDirectory, process.env.ARCHIVES);
  const copied = values["without-archives"] ? {} : { archives: openArchives(folderOfArchives) };
  const log = (_level: string, sentence: string): void => progress.note(sentence);
  const { manifest, kept } = await progress.step("backup", (say) =>
    visitDatabase(place, log, (url) =>
      takeBackup({ url, folder, release: releaseOf(checkout), now: new Date(), pieceBytes, ...copied }, say),
    ),
  );
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
  const bytes = manifest.tables.reduce((sum, table) => sum + table.bytes, 0);
  if (values.json) {
    const { id, takenAt, serverVersion, tables } = manifest;
    const schema = manifest.migrations.length;
    process.stdout.write(
      `${JSON.stringify({ folder, id, takenAt, serverVersion, schema, rows, bytes, kept, tables })}\n`,
    );
    return 0;
  }
  const files = (manifest.archives ?? []).length;
  const archived =
    files === 0
      ? ""
      : ` ${files} ${files === 1 ? "archive" : "archives"} ${values["without-archives"] ? "only listed" : "beside them"}.`;
  const again = kept === 0 ? "" : ` ${kept} of its files were there and hold what they should.`;
  process.stdout.write(
    `${rows} rows of ${manifest.tables.length} tables, ${(bytes / 1e6).toFixed(1)} MB in ${manifest.pieces.length} files.${archived}${again}\nThe backup in ${folder} is whole.\n`,
  );
  return 0;
}
