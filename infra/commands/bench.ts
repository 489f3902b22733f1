import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Bench, Figure } from "../../test/bench/figure.ts";
import { checkout } from "../engine/environment.ts";
import { BadInput } from "../problem.ts";
import { keepMeasured } from "./measured.ts";
import { prepare } from "./prepare.ts";
import { progressOn } from "./progress.ts";

/** A benchmark's file. `byNameOnly`: it takes so long, or so much of the machine, that it runs only where it is named. */
interface BenchModule {
  readonly bench: Bench;
  readonly byNameOnly?: boolean;
}

export const usage = `npm run bench -- [name...] [--json] [--scale x] [--quick] [--keep folder]

Runs the named benchmarks, or all but those that start virtual machines. Each prints one line for every figure, with
the floor it was measured against in the same run; at full scale they are kept in docs/measured/bench-<name>.json too.
  --json     one JSON object for every figure
  --scale x  a fraction of the full count, for a quick look; targets are judged at full scale only
  --quick    the same as --scale 0.1
  --keep folder
             keeps the databases of history there, and measures those that an earlier run left whole
`;

/** Runs benchmarks. Returns 0, or 1 where a target was missed at full scale. Throws `BadInput` for an unknown name. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: "boolean" },
      scale: { type: "string" },
      quick: { type: "boolean" },
      keep: { type: "string" },
    },
  });
  const folder = join(checkout, "test", "bench");
  const known = (await readdir(folder)).filter((f) => f.endsWith(".bench.ts")).map((f) => f.replace(".bench.ts", ""));
  const scale = values.scale === undefined ? (values.quick ? 0.1 : 1) : Number(values.scale);
  const keep = values.keep === undefined ? null : resolve(values.keep);
  const problems = positionals
    .filter((name) => !known.includes(name))
    .map((name) => ({
      path: "name",
      value: name,
      message: `There is no benchmark "${name}".`,
      fix: `The benchmarks are ${known.toSorted().join(", ")}.`,
    }));
  if (!(scale > 0 && scale <= 1))
    problems.push({
      path: "--scale",
      value: values.scale ?? "",
      message: `--scale is "${values.scale}".`,
      fix: "Give a number above 0, at most 1.",
    });
  if (problems.length > 0) throw new BadInput("The command", problems);

  const progress = progressOn(process.stderr);
  await prepare(progress, ["engine", "page", "browser"]);
  let missed = 0;
  for (const name of positionals.length > 0 ? positionals : known.toSorted()) {
    const module = (await import(pathToFileURL(join(folder, `${name}.bench.ts`)).href)) as BenchModule;
    if (module.byNameOnly && !positionals.includes(name)) continue;
    await progress.step(`bench ${name}`, async (say) => {
      const figures: Figure[] = [];
      for await (const figure of module.bench({ scale, keep, say })) {
        figures.push(figure);
        process.stdout.write(`${values.json ? JSON.stringify(figure) : readable(figure)}\n`);
        if (scale === 1 && figure.met === false) missed++;
      }
      if (scale === 1) await keepMeasured(`bench-${name}`, { bench: name, figures });
    });
  }
  if (missed > 0) progress.note(`${missed} ${missed === 1 ? "target was" : "targets were"} missed.`);
  return missed > 0 ? 1 : 0;
}

function readable(figure: Figure): string {
  const floor = figure.floor === null ? "" : `, floor ${figure.floor} ${figure.unit}, ratio ${figure.ratio}`;
  const target = figure.target === null ? "" : `, target ${figure.target}: ${figure.met ? "met" : "missed"}`;
  return `${figure.bench} · ${figure.figure}: ${figure.value} ${figure.unit}${floor}${target} (n = ${figure.n})`;
}
