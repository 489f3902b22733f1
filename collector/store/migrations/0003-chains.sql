-- Evidence that can be checked: a reading is a header, kept for ever and linked to the one before it, and a body apart,
-- which may be erased. The lines of a node's journal are linked likewise.

drop trigger reading_append_only on reading;

create table reading_body (
  reading_id bigint primary key references reading,
  body text,
  -- {when, why}: what was here is gone, and its header still says what it was.
  erased jsonb,
  check ((body is null) <> (erased is null)),
  check (erased is null or (erased ? 'when' and erased ? 'why'))
);
insert into reading_body (reading_id, body) select id, body from reading;

-- The newest link of each account's chain.
create table chain (
  network text not null,
  account text not null,
  n bigint not null default 0,
  head text,
  primary key (network, account),
  foreign key (network, account) references account
);

alter table reading
  add column size integer,
  add column n bigint,
  add column previous text,
  add column hash text;

-- A field as its length in bytes, a colon, its text and a comma; a missing one as "-,".
create function linked(field text) returns text language sql immutable as $$
  select case when field is null then '-,' else octet_length(convert_to(field, 'UTF8')) || ':' || field || ',' end
$$;
create function linked(field timestamptz) returns text language sql immutable as $$
  select linked((extract(epoch from field) * 1000)::bigint::text)
$$;
create function reading_hash(r reading) returns text language sql immutable set search_path from current as $$
  select encode(sha256(convert_to(
    linked('reading/1'::text) || linked(r.network) || linked(r.account) || linked(r.n::text) || linked(r.previous)
    || linked(r.source) || linked(r.started_at) || linked(r.finished_at) || linked(r.http_status::text)
    || linked(r.outcome) || linked(r.reason) || linked(r.sha256) || linked(r.size::text) || linked(r.redactor::text),
    'UTF8')), 'hex')
$$;

-- Whoever inserts a reading appends it to its chain: the head's row stays locked until the transaction ends.
create function link_reading() returns trigger language plpgsql security definer set search_path from current as $$
declare
  newest chain;
begin
  insert into chain (network, account) values (new.network, new.account) on conflict do nothing;
  select * into strict newest from chain where network = new.network and account = new.account for update;
  new.n := newest.n + 1;
  new.previous := newest.head;
  new.hash := reading_hash(new);
  update chain set n = new.n, head = new.hash where network = new.network and account = new.account;
  return new;
end
$$;

do $$
declare
  old reading;
  newest chain;
begin
  for old in select * from reading order by id loop
    insert into chain (network, account) values (old.network, old.account) on conflict do nothing;
    select * into strict newest from chain where network = old.network and account = old.account;
    old.n := newest.n + 1;
    old.previous := newest.head;
    old.size := octet_length(convert_to(old.body, 'UTF8'));
    old.hash := reading_hash(old);
    update reading set n = old.n, previous = old.previous, size = old.size, hash = old.hash where id = old.id;
    update chain set n = old.n, head = old.hash where network = old.network and account = old.account;
  end loop;
end
$$;

alter table reading
  drop column body,
  alter column size set not null,
  alter column n set not null,
  alter column hash set not null,
  add unique (network, account, n);
create trigger reading_link before insert on reading for each row execute function link_reading();
create trigger reading_append_only before update or delete on reading for each row execute function refuse_change();

-- The hash covers exactly the stored bytes.
create function check_body() returns trigger language plpgsql set search_path from current as $$
begin
  if tg_op = 'DELETE' or (tg_op = 'UPDATE' and (new.body is not null or new.reading_id <> old.reading_id or old.erased is not null)) then
    raise exception 'a body is kept or erased, never changed' using errcode = 'restrict_violation';
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
create trigger reading_body_kept before insert or update or delete on reading_body for each row execute function check_body();

-- The chain of a journal's lines: the hash of the hash before and the line's bytes, begun with that of the journal's id.
alter table journal add column chain bytea;
do $$
declare
  one journal;
  line text;
begin
  for one in select * from journal loop
    one.chain := sha256(convert_to(one.uuid::text, 'UTF8'));
    for line in select sample.line::text from sample where journal_id = one.id order by n loop
      one.chain := sha256(one.chain || convert_to(line, 'UTF8'));
    end loop;
    update journal set chain = one.chain where id = one.id;
  end loop;
end
$$;
alter table journal alter column chain set not null;
