import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { type KyselyPlugin, PostgresQueryCompiler } from "kysely";
import type pg from "pg";
import ts from "typescript";

const checkout = join(import.meta.dirname, "..", "..", "..");

/** A place in the sources that sends a query to the database. */
export interface CallSite {
  /** Relative to the checkout, with slashes. */
  readonly file: string;
  readonly line: number;
  /** The function that it stands in. */
  readonly name: string;
}

/** A query that was sent, and from which line. */
export interface SentQuery {
  readonly file: string;
  readonly line: number;
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** A query of the product with the plan that PostgreSQL makes for it. */
export interface ListedQuery {
  readonly site: CallSite;
  readonly sql: string;
  /** Lines of EXPLAIN; empty for what has no plan, such as a lock. */
  readonly plan: readonly string[];
}

/** Returns a plugin for kysely that hears of every query with the line of the product that sends it. */
export function recorder(hear: (query: SentQuery) => void): KyselyPlugin {
  const compiler = new PostgresQueryCompiler();
  return {
    transformQuery({ node, queryId }) {
      const { sql, parameters } = compiler.compileQuery(node, queryId);
      const place = placeInProduct();
      if (place !== null) hear({ ...place, sql, parameters });
      return node;
    },
    async transformResult({ result }) {
      return result;
    },
  };
}

const frame = /(?:\(|at (?:async )?)(?:file:\/\/)?([^()]*?):(\d+):\d+\)?$/;

function placeInProduct(): { file: string; line: number } | null {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 50;
  const stack = new Error("where").stack ?? "";
  Error.stackTraceLimit = before;
  for (const text of stack.split("\n")) {
    const found = frame.exec(text.trim());
    const file = relative(checkout, found?.[1] ?? "")
      .split(sep)
      .join("/");
    if (found !== null && file.startsWith("collector/")) return { file, line: Number(found[2]) };
  }
  return null;
}

const sends = new Set(["execute", "executeTakeFirst", "executeTakeFirstOrThrow"]);

/** Returns every place of `collector/` that sends a query. */
export async function callSites(): Promise<CallSite[]> {
  const folder = join(checkout, "collector");
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".ts")).toSorted();
  const sites: CallSite[] = [];
  for (const name of files) {
    if (name.startsWith(`web${sep}`) || name.includes("node_modules")) continue;
    const text = await readFile(join(folder, name), "utf8");
    const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
    const visit = (node: ts.Node, inside: string): void => {
      const own = ts.isFunctionDeclaration(node) && node.name !== undefined ? node.name.text : inside;
      if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
        const { name: method } = node.expression;
        // What is begun there sends nothing itself.
        const block = /\.(?:transaction|connection)\(\)/.test(node.expression.expression.getText());
        if (sends.has(method.text) && !block) {
          const line = source.getLineAndCharacterOfPosition(method.getStart()).line + 1;
          sites.push({ file: `collector/${name.split(sep).join("/")}`, line, name: own });
        }
      }
      ts.forEachChild(node, (child) => visit(child, own));
    };
    visit(source, "");
  }
  return sites;
}

/**
 * Returns each query once for each place that sends it, with its plan, in the order of files and lines. `client` is a
 * connection of the schema's owner to a database that resembles a fleet's.
 */
export async function listed(
  sent: readonly SentQuery[],
  sites: readonly CallSite[],
  client: pg.Client,
): Promise<ListedQuery[]> {
  const found = new Map<string, ListedQuery>();
  for (const { file, line, sql, parameters } of sent) {
    const site = sites.find((one) => one.file === file && one.line === line);
    if (site === undefined) continue;
    const text = shortened(sql);
    const key = `${file} ${String(line).padStart(6, "0")} ${text}`;
    if (found.has(key)) continue;
    const plan = /^\s*(select|insert|update|delete|with)\b/i.test(sql) ? await planOf(client, sql, parameters) : [];
    found.set(key, { site, sql: text, plan });
  }
  return [...found].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, query]) => query);
}

async function planOf(client: pg.Client, sql: string, parameters: readonly unknown[]): Promise<string[]> {
  const explain = async (): Promise<string[]> => {
    const { rows } = await client.query<Record<string, string>>(`explain (costs off) ${sql}`, [...parameters]);
    return rows.map((row) => row["QUERY PLAN"] ?? "");
  };
  const plan = await explain();
  if (!plan.some((line) => / on sample_/.test(line))) return plan;
  // Partitions of these few lines are faster read in sequence: what matters is whether they could be read otherwise.
  await client.query("set enable_seqscan = off");
  const other = await explain();
  await client.query("set enable_seqscan = on");
  return other;
}

/** Returns the list as Markdown. */
export function document(queries: readonly ListedQuery[]): string {
  const text = [
    "# Queries",
    "",
    "Every query that the collector sends once it runs, by the function that sends it, with the plan that PostgreSQL makes for it on a database of a fleet of 40 nodes and 14 months. A function that leaves conditions out or adds some is listed with each form of its query that differs in what it reads.",
    "",
    "The file is made by `npx vitest run test/collector/store/queries.test.ts -u`; that test also holds that no query is missing here, and that none reads a whole partitioned or growing table.",
  ];
  let [file, name] = ["", ""];
  for (const { site, sql, plan } of queries) {
    if (site.file !== file) text.push("", `## ${site.file}`);
    if (site.file !== file || site.name !== name) text.push("", `### ${site.name}`);
    [file, name] = [site.file, site.name];
    text.push("", "```sql", sql, "```");
    if (plan.length > 0) text.push("", "```text", ...plan.map(masked), "```");
  }
  return `${text.join("\n")}\n`;
}

/** Rows of a multi-row insert, and members of a list, are shown once. */
function shortened(sql: string): string {
  return sql
    .replace(
      /(\((?:\$\d+|default|null)(?:, (?:\$\d+|default|null))*\))(?:, \((?:\$\d+|default|null)(?:, (?:\$\d+|default|null))*\))+/g,
      "$1, …",
    )
    .replace(/\bin \((\$\d+)(?:, \$\d+)+\)/g, "in ($1, …)")
    .split("\n")
    .map((line) => line.replace(/^\s{6}/, "").trimEnd())
    .join("\n")
    .trim();
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const list = /'\{[^']{60,}\}'/g;

function masked(line: string): string {
  return line.replace(uuid, "…").replace(list, "'{…}'");
}
