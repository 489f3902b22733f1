import { readFileSync } from "node:fs";
import { z } from "zod";

/**
 * How long what the project stands on is supported: dated facts in `five-years.json`. Run as a program, this writes them as
 * the page `docs/five-years.md`.
 */

const Entry = z.strictObject({
  name: z.string().min(1),
  /** The packages that it stands for, each with the version it was looked up for: the part that a policy speaks of. */
  packages: z.record(z.string(), z.string()),
  usedFor: z.string().min(1),
  /** The last day of support; null where none is published. */
  endsOn: z.iso.date().nullable(),
  policy: z.string().min(1),
  /** What is to be done by then. */
  then: z.string().min(1),
  /** True where no source says so. */
  assumed: z.boolean(),
  source: z.string().min(1),
  checkedOn: z.iso.date(),
});
const Ledger = z.strictObject({ schema: z.literal(1), entries: z.array(Entry) });

/** One thing that the project stands on. */
export type Support = z.infer<typeof Entry>;

/** Returns the ledger. @throws z.ZodError where its file has another form. */
export function supportLedger(): readonly Support[] {
  return Ledger.parse(JSON.parse(readFileSync(new URL("./five-years.json", import.meta.url), "utf8"))).entries;
}

/** A package that a program of the project is run with, and its version. */
export interface RuntimePackage {
  readonly name: string;
  readonly version: string;
}

/**
 * Returns what the ledger does not hold of `packages`: those that no entry names, and those that were looked up for another
 * version. And what it holds without reason: packages that nothing is run with.
 */
export function differences(ledger: readonly Support[], packages: readonly RuntimePackage[]): readonly string[] {
  const known = new Map(ledger.flatMap(({ packages }) => Object.entries(packages)));
  const missing = packages.flatMap(({ name, version }) => {
    const looked = known.get(name);
    if (looked === undefined) return [`${name} ${version} is in no entry`];
    return `${version}.`.startsWith(`${looked}.`) ? [] : [`${name} is ${version}, and was looked up for ${looked}`];
  });
  const used = new Set(packages.map(({ name }) => name));
  return [...missing, ...[...known.keys()].filter((name) => !used.has(name)).map((name) => `${name} is not used`)];
}

/** Returns the page as Markdown: what has an end by its date, then what has none. */
export function supportPage(ledger: readonly Support[]): string {
  const ending = ledger.filter(({ endsOn }) => endsOn !== null);
  const open = ledger.filter(({ endsOn }) => endsOn === null);
  const dated = ending.toSorted((one, other) => String(one.endsOn).localeCompare(String(other.endsOn)));
  const row = ({ name, usedFor, endsOn, policy, then, assumed, source, checkedOn }: Support): string =>
    `| ${[name, usedFor, ...(endsOn === null ? [] : [endsOn]), policy, then, `${source}, ${checkedOn}${assumed ? "; assumed" : ""}`].join(" | ")} |`;
  return [
    "# Five years",
    "",
    "How long what GradientLab stands on is supported, and what is to be done by then. Each line says where it was looked up and when; *assumed* is what no source says. The facts are in [`infra/five-years.json`](../infra/five-years.json); a test holds that every package a program is run with is among them, at the version that was looked up.",
    "",
    "## What has an end",
    "",
    "| what | used for | supported until | policy | then | source, checked on |",
    "| --- | --- | --- | --- | --- | --- |",
    ...dated.map(row),
    "",
    "## What has none published",
    "",
    "| what | used for | policy | then | source, checked on |",
    "| --- | --- | --- | --- | --- |",
    ...open.map(row),
    "",
  ].join("\n");
}

if (import.meta.main) process.stdout.write(supportPage(supportLedger()));
