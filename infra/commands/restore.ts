import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { archivesFolder, openArchives } from "../../collector/store/archive/archives.ts";
import { readManifest } from "../../collector/store/backup/manifest.ts";
import { restoreBackup } from "../../collector/store/backup/restore.ts";
import { visitDatabase } from "../../collector/store/visit.ts";
import { checkout } from "../engine/environment.ts";
import { homeOf } from "../home.ts";
import { BadInput } from "../problem.ts";
import { progressOn } from "./progress.ts";

export const usage = `npm run restore -- --from <folder> [--json]

Fills an empty database from a backup: the one at DATABASE_URL, or the embedded one of a checkout that has none yet. What
comes in is counted and summed up anew and compared with the backup. Interrupted, the same command goes on; until it is
through, no collector works on the database. A backup of an earlier release is brought to this release's schema.
  --from   the folder of a backup
  --json   one JSON object: what was restored
`;

/** Restores a backup. Returns 0. Throws `BadInput` naming what is missing or wrong. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { from: { type: "string", default: "" }, json: { type: "boolean", default: false } },
  });
  if (values.from === "") {
    const fix = "Give the folder of a backup: --from <folder>.";
    throw new BadInput("The command", [{ path: "--from", value: undefined, message: "--from is missing.", fix }]);
  }
  const folder = resolve(values.from);
  const progress = progressOn(process.stderr);
  const databaseUrl = process.env.DATABASE_URL === "" ? undefined : process.env.DATABASE_URL;
  const dataDirectory = join(homeOf(checkout), "data");
  const log = (_level: string, sentence: string): void => progress.note(sentence);
  const dataFolder = databaseUrl === undefined ? dataDirectory : null;
  // Before a server is started for it.
  await readManifest(folder);
  const archives = openArchives(archivesFolder(dataDirectory, process.env.ARCHIVES));
  const { manifest, kept, missingArchives } = await progress.step("restore", (say) =>
    visitDatabase({ databaseUrl, dataDirectory }, log, (url) =>
      restoreBackup({ url, folder, dataFolder, archives }, say),
    ),
  );
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
  const { id, takenAt } = manifest;
  if (values.json) {
    process.stdout.write(
      `${JSON.stringify({ id, takenAt, schema: manifest.migrations.length, rows, kept, missingArchives })}\n`,
    );
    return 0;
  }
  const again = kept === 0 ? "" : ` ${kept} files of it were in already.`;
  for (const file of missingArchives) {
    process.stdout.write(`The archive ${file} is not in this backup: bring it into ${archives.folder}.\n`);
  }
  process.stdout.write(
    `${rows} rows of ${manifest.tables.length} tables as of ${takenAt}.${again}\nThe database is what was backed up. npm run verify checks all evidence in it.\n`,
  );
  return 0;
}
