-- Lines in monthly partitions, made ahead, and the hours and days of each node, kept up as lines come.

alter table sample rename to sample_before;
alter index sample_pkey rename to sample_before_pkey;
drop index sample_of_node;

create table sample (
  journal_id integer not null references journal,
  n bigint not null check (n > 0),
  node_id integer not null references node,
  at timestamptz not null,
  boot text not null,
  mono_ms double precision not null,
  kind text not null check (kind in ('sample', 'event')),
  every_s double precision not null,
  line json not null,
  primary key (journal_id, n, at)
) partition by range (at);
create index sample_of_node on sample (node_id, at, journal_id, n);

-- What clocks say that were never set. There is no default partition: with one, no range of time could be read in order.
create table sample_early partition of sample for values from (minvalue) to ('2020-01-01 00:00:00+00');
create table sample_late partition of sample for values from ('2100-01-01 00:00:00+00') to (maxvalue);

-- Makes the partitions of these months where they are missing; months outside 2020 to 2099 have theirs.
create function make_partitions(months date[]) returns void
language plpgsql security definer set search_path from current set timezone to 'UTC' as $$
declare
  month date;
  name text;
begin
  for month in
    select distinct date_trunc('month', m)::date from unnest(months) m where m >= '2020-01-01' and m < '2100-01-01' order by 1
  loop
    name := 'sample_' || to_char(month, 'YYYY_MM');
    if to_regclass(name) is not null then continue; end if;
    perform pg_advisory_xact_lock(7232004);
    execute format('create table if not exists %I partition of sample for values from (%L) to (%L)',
      name, month::timestamptz, (month + interval '1 month')::timestamptz);
  end loop;
end
$$;

select make_partitions(array(select distinct (at at time zone 'UTC')::date from sample_before));
insert into sample select * from sample_before order by journal_id, n;

-- The instant of the last line stored: what follows it is compared with it.
alter table journal add column last_at timestamptz;
update journal set last_at = (select at from sample_before where journal_id = journal.id order by n desc limit 1);
drop table sample_before;

-- Sums of a node's lines over an hour, and over a UTC day. Bytes are bytes; a null was never measured.
create table node_hour (
  node_id integer not null references node,
  at timestamptz not null,
  samples integer not null,
  events integer not null,
  covered_ms bigint not null,
  runtime_up integer not null,
  runtime_told integer not null,
  app_up integer not null,
  app_told integer not null,
  restarts_max bigint,
  pss_count integer not null,
  pss_sum numeric(38, 0) not null,
  pss_max bigint,
  memory_available_min bigint,
  disk_free_min bigint,
  primary key (node_id, at)
);
create table node_day (like node_hour including all);
alter table node_day add foreign key (node_id) references node;

-- Lines from before this schema are summed up when their node's next line is stored, or by and by.
alter table node_latest add column rolled_up boolean not null default true;
update node_latest set rolled_up = false where node_id in (select node_id from sample);
create index node_to_roll_up on node_latest (node_id) where not rolled_up;
