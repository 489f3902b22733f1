import { sql } from "kysely";
import type { Database } from "./database.ts";

/** The role that the collector works as, once its schema is made: the database itself keeps it from changing evidence. */
export const daemonRole = "gradientlab_daemon";

const evidence = ["reading", "reading_body", "fact", "sample", "line_pack"];

/**
 * Makes the daemon's role where it is missing and gives it what it needs of the schema in use: of readings, their bodies,
 * facts and lines it may insert and select; packs are made by a function that proves them. Returns null, or why the account that owns the schema has to be used instead.
 * The caller holds the migrations' lock.
 */
export async function prepareRole(session: Database): Promise<string | null> {
  try {
    await sql
      .raw(
        `do $$ begin
           if not exists (select from pg_roles where rolname = '${daemonRole}') then create role ${daemonRole} nologin; end if;
         exception when duplicate_object or unique_violation then null;
         end $$`,
      )
      .execute(session);
    const { rows } = await sql<{ schema: string; member: boolean }>`
      select quote_ident(current_schema()) as schema, pg_has_role(current_user, ${daemonRole}, 'MEMBER') as member`.execute(
      session,
    );
    const { schema, member } = rows[0] ?? { schema: "public", member: false };
    if (!member) await sql.raw(`grant ${daemonRole} to current_user`).execute(session);
    await sql
      .raw(
        `grant usage on schema ${schema} to ${daemonRole};
         grant select, insert, update, delete on all tables in schema ${schema} to ${daemonRole};
         grant usage on all sequences in schema ${schema} to ${daemonRole};
         revoke update, delete on ${evidence.join(", ")} from ${daemonRole};
         revoke insert, update, delete on chain, migration from ${daemonRole};
         revoke delete on recovery_action, recovery_brake from ${daemonRole};
         revoke insert on line_pack from ${daemonRole};
         revoke update on archive from ${daemonRole};
         do $$ declare name regclass; begin
           for name in select inhrelid::regclass from pg_inherits where inhparent = 'sample'::regclass loop
             execute format('revoke all on %s from ${daemonRole}', name);
           end loop;
         end $$`,
      )
      .execute(session);
    return null;
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return `The database keeps evidence from changes by triggers alone, because its account may not make the role ${daemonRole} (${error.message}).`;
  }
}
