-- What is known, and what it rests on. Times are UTC; ranges are half-open, a null end means "still so".

create table inventory_version (
  id bigint generated always as identity primary key,
  stack text not null,
  sha256 text not null,
  written_at timestamptz not null,
  accepted_at timestamptz not null,
  body jsonb not null
);

create table node (
  id integer generated always as identity primary key,
  key text not null unique,
  node_group text not null,
  slot integer not null,
  label text,
  provider text not null,
  region text not null,
  workload text not null,
  network text,
  power text not null check (power in ('on', 'off')),
  machine_id text not null,
  reach jsonb not null,
  first_seen_at timestamptz not null,
  -- When it left the inventory. Its history stays.
  gone_at timestamptz
);

create table incarnation (
  id integer generated always as identity primary key,
  node_id integer not null references node,
  machine_id text not null,
  from_at timestamptz not null,
  to_at timestamptz,
  unique (node_id, machine_id)
);

create table journal (
  id integer generated always as identity primary key,
  uuid uuid not null unique,
  incarnation_id integer not null references incarnation,
  -- The number of the last line stored: moved in the transaction that stores the lines.
  cursor bigint not null check (cursor >= 0),
  first_seen_at timestamptz not null
);

create table sample (
  journal_id integer not null references journal,
  n bigint not null check (n > 0),
  node_id integer not null references node,
  at timestamptz not null,
  boot text not null,
  mono_ms double precision not null,
  kind text not null check (kind in ('sample', 'event')),
  every_s double precision not null,
  -- The line as the node wrote it, unknown fields and checksum included. json and not jsonb: it keeps every byte, and
  -- takes escapes that jsonb refuses.
  line json not null,
  primary key (journal_id, n)
);
create index sample_of_node on sample (node_id, at, journal_id, n);

-- The newest of what samples say of a node, and what the fold of its lines has to remember between two pulls.
create table node_latest (
  node_id integer primary key references node,
  last_sample_at timestamptz,
  restarts integer,
  pss_bytes bigint,
  memory jsonb,
  reward jsonb
);

create table layer_interval (
  id bigint generated always as identity primary key,
  node_id integer not null references node,
  layer text not null check (layer in ('machine', 'runtime', 'app', 'verdict', 'reward')),
  value text not null,
  class text check (class in ('good', 'bad', 'unsupported', 'unknown')),
  reason text not null,
  from_at timestamptz not null,
  to_at timestamptz check (to_at > from_at),
  -- The newest evidence for this value.
  as_of timestamptz not null,
  evidence jsonb not null
);
create unique index layer_interval_now on layer_interval (node_id, layer) where to_at is null;
create unique index layer_interval_order on layer_interval (node_id, layer, from_at);

create table network_node (
  id integer generated always as identity primary key,
  node_id integer not null references node,
  incarnation_id integer not null references incarnation,
  network text not null,
  network_node_id text not null,
  from_at timestamptz not null,
  to_at timestamptz,
  evidence jsonb not null
);
create unique index network_node_now on network_node (node_id) where to_at is null;
create index network_node_id on network_node (network, network_node_id);

create table account (
  network text not null,
  account text not null,
  label text not null,
  practice boolean not null,
  primary key (network, account)
);

create table reading (
  id bigint generated always as identity primary key,
  network text not null,
  account text not null,
  source text not null,
  started_at timestamptz not null,
  finished_at timestamptz not null,
  http_status integer,
  outcome text not null check (outcome in ('ok', 'auth', 'transient', 'rate-limited', 'shape', 'blocked', 'unknown')),
  reason text,
  -- Over the stored bytes of the body, which were redacted first by this version of the redactor.
  sha256 text not null,
  redactor integer not null,
  body text not null,
  foreign key (network, account) references account
);
create index reading_of_account on reading (network, account, id);

create table fact (
  id bigint generated always as identity primary key,
  reading_id bigint not null references reading,
  network text not null,
  account text not null,
  network_node_id text,
  metric text not null,
  kind text not null check (kind in ('lifetime', 'season', 'day', 'gauge', 'text')),
  value numeric(38, 0),
  text text,
  unit text,
  scale integer not null,
  day date,
  derived boolean not null,
  parser text not null,
  as_of timestamptz not null,
  check ((value is null) <> (text is null))
);
create index fact_of_network_node on fact (network, network_node_id, metric, id) where network_node_id is not null;
create index fact_of_account on fact (network, account, metric, day, id) where network_node_id is null;
create index fact_of_reading on fact (reading_id);

-- Readings and facts are evidence: a newer parser adds rows, nothing rewrites them.
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;
create trigger reading_append_only before update or delete on reading for each row execute function refuse_change();
create trigger fact_append_only before update or delete on fact for each row execute function refuse_change();

create table gap (
  id bigint generated always as identity primary key,
  node_id integer references node,
  network text,
  account text,
  kind text not null,
  from_at timestamptz not null,
  to_at timestamptz,
  reason text not null,
  check ((node_id is null) <> (account is null))
);
create index gap_of_node on gap (node_id, id);
create unique index gap_now on gap (coalesce(node_id, 0), coalesce(network, ''), coalesce(account, ''), kind) where to_at is null;

create table node_event (
  id bigint generated always as identity primary key,
  node_id integer not null references node,
  at timestamptz not null,
  name text not null,
  detail jsonb not null
);

create table run (
  id bigint generated always as identity primary key,
  job text not null,
  due timestamptz not null,
  claimed_at timestamptz not null,
  lease_until timestamptz not null,
  finished_at timestamptz,
  outcome text,
  unique (job, due)
);

create table change (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  topic text not null,
  subject text not null
);
