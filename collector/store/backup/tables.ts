import type pg from "pg";

/** A table as the catalog describes it; of a partitioned one its parent stands for all of it. */
export interface Table {
  readonly name: string;
  readonly columns: readonly string[];
  /** The columns of its primary key. `text` values are compared byte by byte, whatever the database's collation. */
  readonly key: readonly { readonly column: string; readonly type: string; readonly text: boolean }[];
  readonly partitions: readonly { readonly name: string; readonly bounds: string }[];
}

/** The tables in which a restore keeps how far it came: while they are there, the database is not whole. */
export const restoreTables = ["unfinished_restore", "unfinished_restore_piece"] as const;

/** The condition on `pg_class` for what somebody made in the schema in use, and no extension such as pg_stat_statements. */
export const madeHere = `relnamespace = current_schema()::regnamespace and not exists (
  select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')`;

/** Returns the tables of the schema in use, partitions with their parents, by name. Throws where one has no key. */
export async function tablesOf(session: pg.Client): Promise<Table[]> {
  const { rows } = await session.query<Omit<Table, "key"> & { key: Table["key"] | null }>(
    `select relname as name,
       (select json_agg(attname order by attnum) from pg_attribute
        where attrelid = pg_class.oid and attnum > 0 and not attisdropped and attgenerated = '') as columns,
       (select json_agg(json_build_object('column', attname, 'type', format_type(atttypid, atttypmod),
          'text', typcategory = 'S') order by place)
        from pg_index, unnest(indkey::int2[]) with ordinality as keys (number, place)
          join pg_attribute on attnum = number join pg_type on pg_type.oid = atttypid
        where indrelid = pg_class.oid and indisprimary and attrelid = indrelid) as key,
       coalesce((select json_agg(json_build_object('name', part.relname, 'bounds', pg_get_expr(part.relpartbound, part.oid))
          order by part.relname)
        from pg_inherits join pg_class part on part.oid = inhrelid where inhparent = pg_class.oid), '[]') as partitions
     from pg_class
     where ${madeHere} and relkind in ('r', 'p') and not relispartition
       and relname <> all ($1)
     order by relname collate "C"`,
    [restoreTables],
  );
  return rows.map((row) => {
    if (row.key === null) throw new Error(`table ${row.name} has no primary key`);
    return { ...row, key: row.key };
  });
}

/** Returns where each sequence of the schema in use stands. */
export async function sequencesOf(
  session: pg.Client,
): Promise<{ readonly name: string; readonly last: string; readonly called: boolean }[]> {
  const { rows } = await session.query<{ name: string }>(
    `select relname as name from pg_class where ${madeHere} and relkind = 'S' order by relname collate "C"`,
  );
  const sequences = [];
  for (const { name } of rows) {
    const place = await session.query<{ last: string; called: boolean }>(
      `select last_value::text as last, is_called as called from ${session.escapeIdentifier(name)}`,
    );
    for (const { last, called } of place.rows) sequences.push({ name, last, called });
  }
  return sequences;
}
