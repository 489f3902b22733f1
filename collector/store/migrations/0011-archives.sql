-- What is older than the database keeps lies in Parquet files, one for a month of lines and one for a month of answers.
-- What stays here says where it lies and what it has to be: the chain after a pack's last line, the hash of an answer.

create table archive (
  id integer generated always as identity primary key,
  kind text not null check (kind in ('lines', 'readings')),
  -- The first day of the month.
  month date not null check (extract(day from month) = 1),
  file text not null unique,
  -- writing: begun, its file may be there in part. kept: what is in it is nowhere else. replaced: its file has to go.
  state text not null check (state in ('writing', 'kept', 'replaced')),
  began_at timestamptz not null,
  kept_at timestamptz,
  sha256 text,
  bytes bigint,
  rows bigint,
  check (state = 'writing' or (kept_at is not null and sha256 is not null and bytes > 0 and rows > 0))
);
create unique index archive_kept on archive (kind, month) where state = 'kept';

alter table line_pack
  add column archive_id integer references archive,
  -- The row of its first line in the file; the others follow.
  add column archive_row integer check (archive_row >= 0),
  drop constraint line_pack_check4,
  add check (erased is not null or archive_id is not null
    or ((samples > 0) = (sample_lines is not null) and (events > 0) = (event_lines is not null))),
  add check ((archive_id is null) = (archive_row is null)
    and (archive_id is null or (erased is null and sample_lines is null and event_lines is null)));
create index line_pack_to_archive on line_pack (day) where archive_id is null and erased is null;
create index line_pack_of_archive on line_pack (archive_id, archive_row) where archive_id is not null;

alter table reading_body
  add column archive_id integer references archive,
  add column archive_row integer check (archive_row >= 0),
  drop constraint reading_body_check,
  add check (num_nonnulls(body, erased, archive_id) = 1),
  add check ((archive_id is null) = (archive_row is null));
create index reading_body_to_archive on reading_body (reading_id) where body is not null;
create index reading_body_of_archive on reading_body (archive_id, archive_row) where archive_id is not null;
create index reading_by_time on reading using brin (finished_at) with (pages_per_range = 16);

-- An archive is begun, kept once something is in it, and replaced once nothing is.
create function check_archive() returns trigger language plpgsql set search_path from current as $$
begin
  if tg_op = 'INSERT' and new.state = 'writing' then return new; end if;
  if tg_op = 'DELETE' and old.state <> 'kept' then return old; end if;
  if tg_op = 'UPDATE' and (old.id, old.kind, old.month, old.file, old.began_at) = (new.id, new.kind, new.month, new.file, new.began_at) then
    if old.state = 'writing' and new.state = 'kept' then return new; end if;
    if old.state = 'kept' and new.state = 'replaced'
      and (old.kept_at, old.sha256, old.bytes, old.rows) = (new.kept_at, new.sha256, new.bytes, new.rows)
      and not exists (select from line_pack where archive_id = old.id)
      and not exists (select from reading_body where archive_id = old.id) then
      return new;
    end if;
  end if;
  raise exception 'an archive is kept as long as something is in it' using errcode = 'restrict_violation';
end
$$;
create trigger archive_held before insert or update or delete on archive for each row execute function check_archive();

create or replace function check_pack() returns trigger language plpgsql set search_path from current as $$
declare
  moves constant text[] := array['erased', 'sample_lines', 'event_lines', 'archive_id', 'archive_row'];
begin
  if tg_op = 'UPDATE' and old.erased is null and to_jsonb(new) - moves = to_jsonb(old) - moves then
    if new.erased is not null and new.archive_id is null then return new; end if;
    if new.erased is null and exists (select from archive where id = new.archive_id and kind = 'lines' and state <> 'replaced') then
      return new;
    end if;
  end if;
  raise exception 'a pack is kept, archived or erased, never changed' using errcode = 'restrict_violation';
end
$$;

create or replace function check_body() returns trigger language plpgsql set search_path from current as $$
begin
  if tg_op = 'DELETE' or (tg_op = 'UPDATE' and (new.body is not null or new.reading_id <> old.reading_id or old.erased is not null
    or (new.archive_id is not null
      and not exists (select from archive where id = new.archive_id and kind = 'readings' and state <> 'replaced')))) then
    raise exception 'a body is kept, archived or erased, never changed' using errcode = 'restrict_violation';
  end if;
  if tg_op = 'INSERT' and not exists (
    select from reading where id = new.reading_id
      and sha256 = encode(sha256(convert_to(new.body, 'UTF8')), 'hex') and size = octet_length(convert_to(new.body, 'UTF8'))
  ) then
    raise exception 'the body of reading % is not what its header says', new.reading_id using errcode = 'check_violation';
  end if;
  if tg_op = 'DELETE' then return old; end if;
  return new;
end
$$;

-- Makes an archive that is being written the one of its kind and month. The one before it must hold nothing any more.
create function keep_archive(of_archive integer, file_sha256 text, file_bytes bigint, file_rows bigint) returns void
language plpgsql set search_path from current as $$
declare
  begun archive;
begin
  select * into strict begun from archive where id = of_archive;
  update archive set state = 'replaced' where kind = begun.kind and month = begun.month and state = 'kept';
  update archive set state = 'kept', kept_at = now(), sha256 = file_sha256, bytes = file_bytes, rows = file_rows
  where id = of_archive;
end
$$;

-- Puts rows of a file in the place of packs. The proofs are the chains after the packs' last lines, counted from what was
-- read back from the file: they must be what the packs say. So no pack goes that the file does not hold byte for byte.
create function archive_packs(
  of_archive integer, file_sha256 text, file_bytes bigint, file_rows bigint,
  journals integer[], firsts bigint[], places integer[], proofs bytea[]
) returns void
language plpgsql security definer set search_path from current as $$
declare
  begun archive;
  proven integer;
  lines bigint;
begin
  select * into strict begun from archive where id = of_archive and kind = 'lines' for update;
  select count(*), sum(samples + events) into proven, lines
  from unnest(journals, firsts, proofs) as told (journal, first, proof)
  join line_pack on journal_id = told.journal and first_n = told.first and chain = told.proof
    and erased is null and day >= begun.month and day < begun.month + interval '1 month';
  if proven <> cardinality(journals) or lines is distinct from file_rows then
    raise exception 'the archive % does not hold the packs that it should', begun.file using errcode = 'check_violation';
  end if;
  update line_pack set sample_lines = null, event_lines = null, archive_id = of_archive, archive_row = told.place
  from unnest(journals, firsts, places) as told (journal, first, place)
  where journal_id = told.journal and first_n = told.first;
  perform keep_archive(of_archive, file_sha256, file_bytes, file_rows);
end
$$;

-- Puts rows of a file in the place of bodies. The proofs are the hashes of what was read back from the file.
create function archive_bodies(
  of_archive integer, file_sha256 text, file_bytes bigint, file_rows bigint,
  readings bigint[], places integer[], proofs text[]
) returns void
language plpgsql security definer set search_path from current set timezone to 'UTC' as $$
declare
  begun archive;
  proven integer;
begin
  select * into strict begun from archive where id = of_archive and kind = 'readings' for update;
  select count(*) into proven
  from unnest(readings, proofs) as told (reading, proof)
  join reading on id = told.reading and sha256 = told.proof
  join reading_body on reading_id = id and erased is null
  where finished_at >= begun.month::timestamptz and finished_at < (begun.month + interval '1 month')::timestamptz;
  if proven <> cardinality(readings) or proven <> file_rows then
    raise exception 'the archive % does not hold the answers that it should', begun.file using errcode = 'check_violation';
  end if;
  update reading_body set body = null, archive_id = of_archive, archive_row = told.place
  from unnest(readings, places) as told (reading, place)
  where reading_id = told.reading;
  perform keep_archive(of_archive, file_sha256, file_bytes, file_rows);
end
$$;
