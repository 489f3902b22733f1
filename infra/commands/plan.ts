import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { judge } from "../budget.ts";
import { build } from "../build.ts";
import { scarceMachines } from "../capacity.ts";
import { parseConfig } from "../config.ts";
import { checkout } from "../engine/environment.ts";
import { forecast } from "../forecast.ts";
import { ledgersOf } from "../ledgers.ts";
import { planFleet } from "../plan.ts";
import { asJson, asMermaid, asText } from "../plan-text.ts";
import { BadInput } from "../problem.ts";
import { readStackFile } from "../stack-file.ts";
import { surroundingsOf } from "./surroundings.ts";

export const usage = `npm run plan [-- --stack <name>] [--file <path>] [--json | --mermaid]

Prints what the stack's config makes and costs: a table of its groups, what would be refused if nothing were deployed
yet, and a forecast of 60 months. It needs no engine, no account and no network.
  --stack <name>  the stack (dev), read from Pulumi.<name>.yaml
  --file <path>   another file of the same form, such as docs/examples/pilot.yaml
  --json          all of it as one JSON object; amounts are whole micro-dollars, as texts
  --mermaid       a diagram of accounts and groups
`;

/** Prints the plan. Returns 0, or 1 where something would be refused. Throws `BadInput` for a config with mistakes. */
export async function main(args: readonly string[], at: Date = new Date()): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      stack: { type: "string", default: "dev" },
      file: { type: "string" },
      json: { type: "boolean", default: false },
      mermaid: { type: "boolean", default: false },
    },
  });
  if (values.json && values.mermaid)
    throw new BadInput("The command", [
      {
        path: "--mermaid",
        value: "true",
        message: "--json and --mermaid are both given.",
        fix: "Choose one of the two.",
      },
    ]);
  const file = values.file ?? join(checkout, `Pulumi.${values.stack}.yaml`);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
    const path = values.file === undefined ? "--stack" : "--file";
    const value = values.file ?? values.stack;
    throw new BadInput("The command", [
      { path, value, message: `${path} is "${value}", and there is no file ${file}.`, fix: "Name one that there is." },
    ]);
  }
  // How large a machine's boot document is depends on the compiled agent in it.
  await build();
  const around = surroundingsOf(process.env);
  const { config: raw, secret } = readStackFile(await readFile(file, "utf8"), file);
  const config = parseConfig(raw, around, secret);
  const plan = planFleet(config, around);
  const ledgers = ledgersOf(around.providers);
  const judged = plan.demand === null ? null : judge(null, plan.demand, ledgers, at);
  const told = {
    plan,
    ledgers,
    at,
    refusals: [...plan.refusals, ...(judged?.refusals ?? [])],
    warnings: [...plan.warnings, ...scarceMachines(plan, around.providers), ...(judged?.warnings ?? [])],
    months: plan.demand === null ? [] : forecast(plan.demand, ledgers, at),
  };
  const text = values.json ? asJson(told) : values.mermaid ? asMermaid(told) : asText(told);
  process.stdout.write(`${text}\n`);
  return told.refusals.length === 0 ? 0 : 1;
}
