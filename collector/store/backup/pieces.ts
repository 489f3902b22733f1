import pg from "pg";
import type { Piece } from "./manifest.ts";
import type { Table } from "./tables.ts";

/** A stretch of a table in the order of its key: behind `after` up to `through`, itself included. */
export type Stretch = Pick<Piece, "after" | "through">;

const mostRows = 250_000;
const identifier = (name: string): string => pg.escapeIdentifier(name);

/** Returns the columns as SQL. */
export function columnList(table: Pick<Table, "columns">): string {
  return table.columns.map(identifier).join(", ");
}

function keyList(table: Table, alias = ""): string {
  return table.key.map((key) => `${alias}${identifier(key.column)}${key.text ? ' collate "C"' : ""}`).join(", ");
}

function where(table: Table, { after, through }: Stretch): string {
  const side = (sign: string, values: readonly string[] | null): string[] =>
    values === null
      ? []
      : [
          `(${keyList(table)}) ${sign} (${table.key.map((key, i) => `${pg.escapeLiteral(values[i] ?? "")}::${key.type}`).join(", ")})`,
        ];
  const conditions = [...side(">", after), ...side("<=", through)];
  return conditions.length === 0 ? "" : `where ${conditions.join(" and ")}`;
}

/** Returns the statement that writes a stretch as text, in the order of its key. */
export function copyOut(table: Table, stretch: Stretch): string {
  const from = `${identifier(table.name)} ${where(table, stretch)}`;
  return `copy (select ${columnList(table)} from ${from} order by ${keyList(table)}) to stdout`;
}

/**
 * Returns the number of rows of a stretch and the SHA-256 over the SHA-256 of each row's text, in the order of its key:
 * the server counts it, so that it takes nothing over the network, in the database of a backup as in that of a restore.
 */
export async function digestOf(
  session: pg.Client,
  table: Table,
  stretch: Stretch,
): Promise<{ readonly rows: number; readonly digest: string }> {
  const { rows } = await session.query<{ rows: string; digest: string }>(
    `select count(*) as rows, encode(sha256(coalesce(string_agg(
       sha256(convert_to(row(${columnList(table)})::text, 'UTF8')), ''::bytea order by ${keyList(table)}), ''::bytea)), 'hex') as digest
     from ${identifier(table.name)} ${where(table, stretch)}`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error("an aggregate gives one row");
  return { rows: Number(row.rows), digest: row.digest };
}

/** Returns how many rows of a table make a piece of about `bytes` on the server. */
export async function rowsOfPiece(session: pg.Client, table: Table, bytes: number): Promise<number> {
  const parts = [table.name, ...table.partitions.map(({ name }) => name)];
  const { rows } = await session.query<{ count: string; bytes: string }>(
    `select (select count(*) from ${identifier(table.name)}) as count,
       (select sum(pg_table_size(quote_ident(name)::regclass)) from unnest($1::text[]) as name) as bytes`,
    [parts],
  );
  const { count = "0", bytes: held = "0" } = rows[0] ?? {};
  const ofRow = Math.max(1, Number(held) / Math.max(1, Number(count)));
  return Math.min(mostRows, Math.max(1, Math.floor(bytes / ofRow)));
}

/** Returns the next stretch behind `after` of at most `rows` rows, the last one without an end; null: no row is left. */
export async function nextStretch(
  session: pg.Client,
  table: Table,
  after: Piece["after"],
  rows: number,
): Promise<Stretch | null> {
  const key = table.key.map((one) => `${identifier(one.column)}::text`).join(", ");
  const found = await session.query<string[]>({
    text: `select ${key} from ${identifier(table.name)} ${where(table, { after, through: null })}
      order by ${keyList(table, `${identifier(table.name)}.`)} offset ${rows - 1} limit 2`,
    rowMode: "array",
  });
  const [last, another] = found.rows;
  if (last !== undefined && another !== undefined) return { after, through: last };
  if (last !== undefined) return { after, through: null };
  const left = await session.query(
    `select from ${identifier(table.name)} ${where(table, { after, through: null })} limit 1`,
  );
  return left.rowCount === 0 ? null : { after, through: null };
}
