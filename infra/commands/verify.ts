import { join } from "node:path";
import { parseArgs } from "node:util";
import { archivesFolder, openArchives } from "../../collector/store/archive/archives.ts";
import { openDatabase } from "../../collector/store/database.ts";
import { verifyEvidence } from "../../collector/store/verify.ts";
import { visitDatabase } from "../../collector/store/visit.ts";
import { checkout } from "../engine/environment.ts";
import { homeOf } from "../home.ts";
import { progressOn } from "./progress.ts";

export const usage = `npm run verify [-- --json]

Checks all evidence in the database and its archives: that every chain of readings is whole, that bodies are what their headers say, that
every fact has its reading, and that the lines of every journal are those that came. The collector may be running. Exits
with 1 where something was changed or is missing.
  --json   one JSON object: what was checked, and the faults
`;

/** Checks the evidence. Returns 0 when all is as it was stored, 1 with a sentence for each fault. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { json: { type: "boolean", default: false } } });
  const progress = progressOn(process.stderr);
  const place = { databaseUrl: process.env.DATABASE_URL, dataDirectory: join(homeOf(checkout), "data") };
  const archives = openArchives(archivesFolder(place.dataDirectory, process.env.ARCHIVES));
  const log = (_level: string, sentence: string): void => progress.note(sentence);
  const found = await progress.step("evidence", (say) =>
    visitDatabase(place, log, async (url) => {
      const database = await openDatabase(url, (error) => progress.note(error.message));
      try {
        return await verifyEvidence(database, say, archives);
      } finally {
        await database.destroy();
      }
    }),
  );
  if (values.json) process.stdout.write(`${JSON.stringify(found)}\n`);
  else {
    const { readings, erased, facts, lines, erasedLines, archives: files, faults } = found;
    const archived = files === 0 ? "" : `, of them in ${files === 1 ? "an archive" : `${files} archives`}`;
    process.stdout.write(
      `${readings} readings (${erased} erased), ${facts} facts, ${lines} journal lines (${erasedLines} erased)${archived}\n`,
    );
    for (const fault of faults) process.stdout.write(`${fault}\n`);
    process.stdout.write(faults.length === 0 ? "All of it is as it was stored.\n" : "");
  }
  return found.faults.length === 0 ? 0 : 1;
}
