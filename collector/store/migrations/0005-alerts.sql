-- What somebody has to be told, what was told, and through which channel.

-- When the collector learnt of an event: a journal may be read long after its lines were written.
alter table node_event add column seen_at timestamptz;
update node_event set seen_at = at;
alter table node_event alter column seen_at set not null;
create index node_event_seen on node_event (seen_at, id);

create table alert (
  id bigint generated always as identity primary key,
  rule text not null,
  -- What it is about: a node's key, <network>/<account>, a job, a phase.
  subject text not null,
  severity text not null check (severity in ('info', 'warning', 'critical')),
  summary text not null,
  fix text not null,
  -- When what it tells of began, by the clock of its evidence.
  since timestamptz not null,
  opened_at timestamptz not null,
  resolved_at timestamptz,
  acknowledged_at timestamptz,
  read_at timestamptz,
  -- When a message was made of its beginning, of nobody having acknowledged it, and of its end.
  told_at timestamptz,
  escalated_at timestamptz,
  end_told_at timestamptz
);
create unique index alert_open on alert (rule, subject) where resolved_at is null;
create index alert_ended_untold on alert (rule) where resolved_at is not null and end_told_at is null;

create table alert_message (
  id uuid primary key,
  at timestamptz not null,
  rule text not null,
  kind text not null check (kind in ('began', 'escalated', 'ended')),
  severity text not null check (severity in ('info', 'warning', 'critical')),
  title text not null,
  body text not null,
  -- The alerts it tells of.
  alerts jsonb not null
);
create index alert_message_of_rule on alert_message (rule, kind, at);

-- The outbox: made in the transaction that makes the message, sent until a channel has taken it.
create table alert_delivery (
  message_id uuid not null references alert_message,
  channel text not null,
  attempts integer not null default 0,
  next_try_at timestamptz not null,
  -- While this lies ahead, a collector is at it. The database's clock decides.
  lease_until timestamptz,
  delivered_at timestamptz,
  given_up_at timestamptz,
  reason text,
  primary key (message_id, channel)
);
create index alert_delivery_waiting on alert_delivery (next_try_at) where delivered_at is null and given_up_at is null;
