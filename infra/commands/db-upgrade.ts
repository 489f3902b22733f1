import { join } from "node:path";
import { parseArgs } from "node:util";
import { embeddedMajor } from "../../collector/store/embedded.ts";
import { olderPostgres } from "../../collector/store/older-postgres.ts";
import { upgradeEmbedded } from "../../collector/store/upgrade.ts";
import { cacheFolder, checkout } from "../engine/environment.ts";
import { homeOf } from "../home.ts";
import { BadInput } from "../problem.ts";
import { progressOn } from "./progress.ts";
import { releaseOf } from "./release.ts";

export const usage = `npm run db:upgrade

Moves the embedded database's data to the PostgreSQL of this release, when an earlier release began it with an older one.
The collector is stopped first. The new data is compared with the old before it takes its place, and the old folder stays
beside it. Interrupted, the same command goes on.
`;

/** Moves the embedded database to this release's PostgreSQL. Returns 0. Throws `BadInput` where there is none. */
export async function main(args: readonly string[]): Promise<number> {
  parseArgs({ args: [...args], options: {} });
  const url = process.env.DATABASE_URL;
  if (url !== undefined && url !== "") {
    const message = "DATABASE_URL is set: the database is a server of your own.";
    const fix = "Upgrade that server as its maker says, or unset DATABASE_URL for the embedded one.";
    throw new BadInput("The environment", [{ path: "DATABASE_URL", value: undefined, message, fix }]);
  }
  const progress = progressOn(process.stderr);
  const directory = join(homeOf(checkout), "data", "postgres");
  const log = (_level: string, sentence: string): void => progress.note(sentence);
  const order = {
    directory,
    release: releaseOf(checkout),
    now: new Date(),
    binaries: (major: string) => olderPostgres(major, cacheFolder()),
  };
  const upgraded = await progress.step("upgrade", (say) => upgradeEmbedded(order, log, say));
  process.stdout.write(
    upgraded === null
      ? `There is nothing to move: the embedded database is of PostgreSQL ${embeddedMajor}, or there is none yet.\n`
      : `The database is moved from PostgreSQL ${upgraded.from} to ${upgraded.to}, and holds the same rows.\nThe old data lies as it was in ${upgraded.kept}; delete it, and ${upgraded.kept}.password, when you like.\n`,
  );
  return 0;
}
