import { join } from "node:path";
import { parseArgs } from "node:util";
import { adapterOf, networkNames } from "../../collector/networks/adapters.ts";
import { type ParseChange, reparse } from "../../collector/networks/reparse.ts";
import { archivesFolder, openArchives } from "../../collector/store/archive/archives.ts";
import { openDatabase } from "../../collector/store/database.ts";
import { visitDatabase } from "../../collector/store/visit.ts";
import { checkout } from "../engine/environment.ts";
import { homeOf } from "../home.ts";
import { BadInput, type Problem } from "../problem.ts";
import { progressOn } from "./progress.ts";

export const usage = `npm run reparse -- --adapter <network> --since <instant> [--store] [--json]

Reads the stored answers of a network with the parser of this release and shows every value that it reads in another way
than the newest one before it. Nothing is changed.
  --since   answers from this instant on, such as 2026-11-01 or 2026-11-01T00:00:00Z
  --store   add what is read now beside what was read before; both stay, and the newer counts
  --json    one JSON object for each value, and one for the sum
`;

/** Reads old answers anew. Returns 0. Throws `BadInput` naming what is missing or wrong. */
export async function main(args: readonly string[]): Promise<number> {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { adapter: text, since: text, store: flag, json: flag },
  });
  const adapter = adapterOf(values.adapter ?? "");
  const since = new Date(values.since ?? "");
  const problems: Problem[] = [];
  const problem = (path: string, value: string | undefined, fix: string): void => {
    const message = value === undefined ? `${path} is missing.` : `${path} is "${value}".`;
    problems.push({ path, value, message, fix });
  };
  if (adapter === undefined) problem("--adapter", values.adapter, `Give one of: ${networkNames().join(", ")}.`);
  if (Number.isNaN(since.getTime())) problem("--since", values.since, "Give an instant such as 2026-11-01T00:00:00Z.");
  if (adapter === undefined || problems.length > 0) throw new BadInput("The command", problems);
  const progress = progressOn(process.stderr);
  const place = { databaseUrl: process.env.DATABASE_URL, dataDirectory: join(homeOf(checkout), "data") };
  const archives = openArchives(archivesFolder(place.dataDirectory, process.env.ARCHIVES));
  const log = (_level: string, sentence: string): void => progress.note(sentence);
  const tell = (change: ParseChange): void =>
    void process.stdout.write(`${values.json ? JSON.stringify(change) : readable(change)}\n`);
  const found = await progress.step(`${adapter.network} since ${since.toISOString()}`, () =>
    visitDatabase(place, log, async (url) => {
      const database = await openDatabase(url, (error) => progress.note(error.message));
      try {
        return await reparse(database, archives, adapter, since, values.store, tell);
      } finally {
        await database.destroy();
      }
    }),
  );
  const { readings, changed, stored } = found;
  process.stdout.write(
    values.json
      ? `${JSON.stringify(found)}\n`
      : `${readings} answers read by ${adapter.parser}, ${changed} of them in another way; ${stored} values stored.\n`,
  );
  return 0;
}

function readable({ reading, call, metric, networkNodeId, day, before, now }: ParseChange): string {
  const about = [networkNodeId, day].filter((part) => part !== null).join(" ");
  return `reading ${reading} ${call}: ${metric}${about === "" ? "" : ` of ${about}`}: ${before ?? "nothing"} -> ${now ?? "nothing"}`;
}
