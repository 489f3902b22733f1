import { join } from "node:path";
import { parseArgs } from "node:util";
import { connectAsOwner, openDatabase } from "../../collector/store/database.ts";
import { eraseBodies } from "../../collector/store/verify.ts";
import { visitDatabase } from "../../collector/store/visit.ts";
import { checkout } from "../engine/environment.ts";
import { homeOf } from "../home.ts";
import { BadInput, type Problem } from "../problem.ts";
import { progressOn } from "./progress.ts";

export const usage = `npm run forget -- --network <name> --account <name> --why <words> [--before <instant>]

Erases the stored answers of an account for good, as data protection may ask for. Their headers, the numbers parsed from
them and the chains stay; each erased answer says when and why it went.
  --before   erase only answers that came before this instant (now)
`;

/** Erases bodies of readings. Returns 0. Throws `BadInput` naming what is missing. */
export async function main(args: readonly string[]): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ args: [...args], options: { network: text, account: text, why: text, before: text } });
  const { network = "", account = "", why = "" } = values;
  const before = values.before === undefined ? new Date() : new Date(values.before);
  const problems: Problem[] = Object.entries({ network, account, why }).flatMap(([name, value]) =>
    value !== ""
      ? []
      : [
          {
            path: `--${name}`,
            value: undefined,
            message: `--${name} is missing.`,
            fix: `Give it: --${name} <${name}>.`,
          },
        ],
  );
  if (Number.isNaN(before.getTime())) {
    const message = `--before is "${values.before}".`;
    problems.push({
      path: "--before",
      value: values.before,
      message,
      fix: "Give an instant such as 2026-11-01T00:00:00Z.",
    });
  }
  if (problems.length > 0) throw new BadInput("The command", problems);
  const progress = progressOn(process.stderr);
  const place = { databaseUrl: process.env.DATABASE_URL, dataDirectory: join(homeOf(checkout), "data") };
  const log = (_level: string, sentence: string): void => progress.note(sentence);
  const erased = await progress.step("readings", () =>
    visitDatabase(place, log, async (url) => {
      const note = (error: Error): void => progress.note(error.message);
      // The schema is brought to this release's first.
      await (await openDatabase(url, note)).destroy();
      const owner = connectAsOwner(url, note);
      try {
        return await eraseBodies(owner, { network, account }, before, { when: new Date(), why });
      } finally {
        await owner.destroy();
      }
    }),
  );
  process.stdout.write(`${erased} ${erased === 1 ? "answer" : "answers"} of ${network}/${account} erased.\n`);
  return 0;
}
