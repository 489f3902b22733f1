import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Archives, archivesFolder, openArchives } from "../../collector/store/archive/archives.ts";
import { connectAsOwner, type Database, openDatabase } from "../../collector/store/database.ts";
import { eraseBodies, eraseLines } from "../../collector/store/erase.ts";
import { nodeIdOf } from "../../collector/store/views.ts";
import { visitDatabase } from "../../collector/store/visit.ts";
import { checkout } from "../engine/environment.ts";
import { homeOf } from "../home.ts";
import { BadInput, type Problem } from "../problem.ts";
import { progressOn } from "./progress.ts";

const dayMs = 86_400_000;

export const usage = `npm run forget -- --network <name> --account <name> --why <words> [--before <instant>]
npm run forget -- --node <group>/<slot> --why <words> [--before <day>]

Erases the stored answers of an account, or the journal lines of a node, for good, as data protection may ask for, in the
database and in its archives, which are written anew without them. What proves the rest stays: headers, numbers parsed from
answers, layers, hours and days, chains. Each erased answer and day of lines says when and why it went. Backups and exports
that were taken before still hold it: delete them.
  --before   erase only answers that came before this instant (now), lines of UTC days before this one (today)
`;

/** What is to be erased, before which instant, and why. */
type Order = { readonly before: Date; readonly why: string } & (
  | { readonly kind: "account"; readonly network: string; readonly account: string }
  | { readonly kind: "node"; readonly key: string }
);

/** Erases bodies of readings, or lines. Returns 0. Throws `BadInput` naming what is missing or wrong. */
export async function main(args: readonly string[]): Promise<number> {
  const order = orderOf(args, new Date());
  const progress = progressOn(process.stderr);
  const place = { databaseUrl: process.env.DATABASE_URL, dataDirectory: join(homeOf(checkout), "data") };
  const archives = openArchives(archivesFolder(place.dataDirectory, process.env.ARCHIVES));
  const log = (_level: string, sentence: string): void => progress.note(sentence);
  const told = await progress.step("evidence", (say) =>
    visitDatabase(place, log, async (url) => {
      const note = (error: Error): void => progress.note(error.message);
      // The schema is brought to this release's first.
      await (await openDatabase(url, note)).destroy();
      const owner = connectAsOwner(url, note);
      try {
        return await erase(owner, archives, order, say);
      } finally {
        await owner.destroy();
      }
    }),
  );
  process.stdout.write(`${told}\n`);
  return 0;
}

async function erase(owner: Database, archives: Archives, order: Order, say: (text: string) => void): Promise<string> {
  const erased = { when: new Date(), why: order.why };
  if (order.kind === "account") {
    const answers = await eraseBodies(owner, archives, order, order.before, erased, say);
    return `${answers} ${answers === 1 ? "answer" : "answers"} of ${order.network}/${order.account} erased.`;
  }
  const nodeId = await nodeIdOf(owner, order.key);
  if (nodeId === undefined) {
    const message = `There never was a node ${order.key}.`;
    throw new BadInput("The command", [
      { path: "--node", value: order.key, message, fix: "Give a key that /api/v1/nodes shows, such as home/0." },
    ]);
  }
  const lines = await eraseLines(owner, archives, nodeId, order.before, erased, say);
  return `${lines} ${lines === 1 ? "line" : "lines"} of ${order.key} erased.`;
}

function orderOf(args: readonly string[], now: Date): Order {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: { network: text, account: text, node: text, why: text, before: text },
  });
  const { network = "", account = "", node = "", why = "" } = values;
  const problems: Problem[] = Object.entries(node === "" ? { network, account, why } : { why }).flatMap(
    ([name, value]) =>
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
  if (node !== "" && (network !== "" || account !== "")) {
    const message = "--node stands beside --network or --account.";
    problems.push({ path: "--node", value: node, message, fix: "Erase one of them at a time." });
  }
  const today = new Date(Math.floor(now.getTime() / dayMs) * dayMs);
  const before = values.before === undefined ? (node === "" ? now : today) : new Date(values.before);
  const fault = Number.isNaN(before.getTime())
    ? "Give an instant such as 2026-11-01T00:00:00Z."
    : node !== "" && before.getTime() % dayMs !== 0
      ? "Lines are erased by whole UTC days: give a day such as 2026-11-01."
      : null;
  if (fault !== null) {
    problems.push({
      path: "--before",
      value: values.before,
      message: `--before is "${values.before}".`,
      fix: fault,
    });
  }
  if (problems.length > 0) throw new BadInput("The command", problems);
  return node === "" ? { kind: "account", network, account, before, why } : { kind: "node", key: node, before, why };
}
