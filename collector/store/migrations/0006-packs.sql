-- Lines of closed days, packed: a pack holds lines of one journal and one UTC day that follow each other in the journal.
-- The packs of a journal are its beginning without a hole; its newest lines are rows of sample.

create table line_pack (
  journal_id integer not null references journal,
  first_n bigint not null,
  last_n bigint not null check (last_n >= first_n),
  node_id integer not null references node,
  day date not null,
  -- The instants of the earliest and the latest line.
  from_at timestamptz not null,
  to_at timestamptz not null check (to_at >= from_at),
  samples integer not null check (samples >= 0),
  events integer not null check (events >= 0),
  -- The journal's chain after the last line.
  chain bytea not null,
  -- The format of the two: what pack.ts wrote.
  version smallint not null,
  sample_lines bytea,
  event_lines bytea,
  -- {when, why}: the lines are gone, and what stands here still says which they were.
  erased jsonb,
  primary key (journal_id, first_n),
  check (samples + events > 0),
  check (erased is null or (erased ? 'when' and erased ? 'why' and sample_lines is null and event_lines is null)),
  check (erased is not null or ((samples > 0) = (sample_lines is not null) and (events > 0) = (event_lines is not null)))
);
-- What is compressed is not compressed again.
alter table line_pack alter column sample_lines set storage external, alter column event_lines set storage external;
create index line_pack_of_node on line_pack (node_id, day, journal_id, first_n);
create index line_pack_with_events on line_pack (node_id, day, journal_id, first_n) where events > 0;
create index line_pack_erased on line_pack (node_id, day) where erased is not null;

-- The number of the last line that is packed.
alter table journal add column packed_n bigint not null default 0 check (packed_n <= cursor);
create index journal_to_pack on journal (id) where packed_n < cursor;

-- Lines are added, and deleted once they are packed; packs are added and erased. Nothing is changed.
create function check_line() returns trigger language plpgsql set search_path from current as $$
begin
  if tg_op = 'DELETE' and exists (
    select from line_pack where journal_id = old.journal_id and first_n <= old.n and last_n >= old.n and erased is null
  ) then
    return old;
  end if;
  raise exception 'a line is kept or packed, never changed' using errcode = 'restrict_violation';
end
$$;
create trigger sample_kept before update or delete on sample for each row execute function check_line();

create function check_pack() returns trigger language plpgsql set search_path from current as $$
begin
  if tg_op = 'UPDATE' and old.erased is null and new.erased is not null
    and (to_jsonb(new) - 'erased' - 'sample_lines' - 'event_lines') = (to_jsonb(old) - 'erased' - 'sample_lines' - 'event_lines') then
    return new;
  end if;
  raise exception 'a pack is kept or erased, never changed' using errcode = 'restrict_violation';
end
$$;
create trigger line_pack_kept before update or delete on line_pack for each row execute function check_pack();

-- Puts a pack in the place of the lines first to last of a journal, which must be the first that are not packed, all of
-- this UTC day. `proof` is the journal's chain after them, counted from the lines that the pack gives back when it is
-- unpacked: it must be what the lines in the table give. So no line goes that the pack does not hold byte for byte.
-- Returns whether it did; false where they were packed meanwhile.
create function pack_lines(
  of_journal integer, first bigint, last bigint, of_day date, format smallint, packed_samples bytea, packed_events bytea, proof bytea
) returns boolean
language plpgsql security definer set search_path from current set timezone to 'UTC' as $$
declare
  begins constant timestamptz := of_day::timestamptz;
  ends constant timestamptz := (of_day + 1)::timestamptz;
  whole record;
  held record;
  link bytea;
  text json;
  deleted integer;
begin
  -- Whoever stores or packs lines of this journal takes turns, and locks the node before the journal.
  perform from node where id = (
    select node_id from incarnation join journal on journal.incarnation_id = incarnation.id where journal.id = of_journal
  ) for key share;
  select id, uuid, packed_n into strict whole from journal where id = of_journal for no key update;
  if first <= whole.packed_n then return false; end if;
  if whole.packed_n = 0 then
    link := sha256(convert_to(whole.uuid::text, 'UTF8'));
  else
    select chain into strict link from line_pack where journal_id = of_journal order by first_n desc limit 1;
  end if;
  select count(*) filter (where kind = 'sample')::integer as samples, count(*) filter (where kind = 'event')::integer as events,
    min(n) as first_n, max(n) as last_n, min(at) as from_at, max(at) as to_at, min(node_id) as node_id
    into strict held from sample where journal_id = of_journal and n between first and last and at >= begins and at < ends;
  if held.first_n is distinct from first or held.last_n is distinct from last or exists (
    select from sample where journal_id = of_journal and n > whole.packed_n and n <= last and (n < first or at < begins or at >= ends)
  ) then
    raise exception 'lines % to % of journal % are not the first that are not packed, or not all of %', first, last, of_journal, of_day
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  for text in
    select line from sample where journal_id = of_journal and n between first and last and at >= begins and at < ends order by n
  loop
    link := sha256(link || convert_to(text::text, 'UTF8'));
  end loop;
  if link is distinct from proof then
    raise exception 'the pack of lines % to % of journal % does not hold them', first, last, of_journal
      using errcode = 'check_violation';
  end if;
  insert into line_pack values (
    of_journal, first, last, held.node_id, of_day, held.from_at, held.to_at, held.samples, held.events, link,
    format, packed_samples, packed_events, null
  );
  delete from sample where journal_id = of_journal and n between first and last and at >= begins and at < ends;
  get diagnostics deleted = row_count;
  if deleted <> held.samples + held.events then
    raise exception 'lines of journal % went while they were packed', of_journal using errcode = 'serialization_failure';
  end if;
  update journal set packed_n = last where id = of_journal;
  return true;
end
$$;

-- Drops the partitions of months that ended before `before` and hold no line any more. One that is in use is left for
-- the next time. Returns how many went.
create function drop_empty_partitions(before date) returns integer
language plpgsql security definer set search_path from current set timezone to 'UTC' set lock_timeout to '1s' as $$
declare
  name text;
  empty boolean;
  dropped integer := 0;
begin
  for name in
    select relname from pg_inherits join pg_class on pg_class.oid = inhrelid
    where inhparent = 'sample'::regclass and relname ~ '^sample_[0-9]{4}_[0-9]{2}$'
      and to_date(substr(relname, 8), 'YYYY_MM') + interval '1 month' <= before
    order by relname
  loop
    execute format('select not exists (select from %I)', name) into empty;
    if not empty then continue; end if;
    begin
      -- The order in which inserts lock them.
      lock table only sample in access exclusive mode;
      execute format('lock table %I in access exclusive mode', name);
      execute format('select not exists (select from %I)', name) into empty;
      if empty then
        execute format('drop table %I', name);
        dropped := dropped + 1;
      end if;
    exception when lock_not_available then
      return dropped;
    end;
  end loop;
  return dropped;
end
$$;

-- What was read in sequence: facts of a stretch of time (they lie in its order) or of a day, changes that are old, runs of
-- an outcome, layers of a stretch of time.
create index fact_by_time on fact using brin (as_of) with (pages_per_range = 16);
create index fact_of_day on fact (day, id) where day is not null;
create index change_by_at on change (at);
create index run_of_outcome on run (outcome, due, id);
create index layer_interval_by_time on layer_interval (node_id, from_at, id);
