-- What was done to repair nodes, why, and what became of it.

-- One stretch of trouble of a node, from the first look that saw it until all was well for a while.
create table recovery_episode (
  id bigint generated always as identity primary key,
  node_id integer not null references node,
  -- The machine that has the trouble: another one begins anew.
  machine_id text not null,
  trouble text not null check (trouble in ('unreachable', 'mute', 'software', 'verdict')),
  -- The layer's own words and instant, as they were last seen.
  reason text not null,
  -- Since when the collector has seen this kind of trouble, and since when it has seen none. Its own clock.
  trouble_since timestamptz not null,
  well_since timestamptz,
  opened_at timestamptz not null,
  closed_at timestamptz,
  outcome text check (outcome in ('recovered', 'unsupported', 'stopped', 'replaced', 'left', 'off')),
  -- What is waited for, or why nothing is done.
  standing text not null,
  check ((closed_at is null) = (outcome is null))
);
create unique index recovery_episode_open on recovery_episode (node_id) where closed_at is null;
create index recovery_episode_of_node on recovery_episode (node_id, id);

-- Written before anything is sent, and sent under its own id as often as it takes: a node does each id once.
create table recovery_action (
  id bigint generated always as identity primary key,
  action_id uuid not null unique,
  episode_id bigint not null references recovery_episode,
  node_id integer not null references node,
  machine_id text not null,
  rung text not null check (rung in ('runtime', 'workload', 'reboot', 'rebuild')),
  reason text not null,
  evidence jsonb not null,
  decided_at timestamptz not null,
  attempts integer not null default 0,
  -- Whether the node may have heard of it.
  maybe_sent boolean not null default false,
  sent_at timestamptz,
  next_try_at timestamptz not null,
  claimed_by text,
  -- While this lies ahead, a collector is at it. The database's clock decides.
  lease_until timestamptz,
  ended_at timestamptz,
  outcome text check (outcome in ('done', 'failed', 'refused', 'unavailable', 'unreachable', 'unknown', 'withdrawn', 'proposed')),
  -- What the node or the collector says of how it went; of a proposal, what to change.
  detail text,
  check ((ended_at is null) = (outcome is null))
);
create unique index recovery_action_open on recovery_action (node_id) where ended_at is null;
create index recovery_action_of_episode on recovery_action (episode_id, id);
create index recovery_action_of_node on recovery_action (node_id, id);
create index recovery_action_decided on recovery_action (decided_at);

-- While one is set, nothing is done: because many nodes fail at once, or because the operator said so.
create table recovery_brake (
  id bigint generated always as identity primary key,
  cause text not null check (cause in ('fleet', 'operator')),
  reason text not null,
  set_at timestamptz not null,
  released_at timestamptz,
  released_by text check (released_by in ('fleet', 'operator')),
  check ((released_at is null) = (released_by is null))
);
create unique index recovery_brake_set on recovery_brake ((true)) where released_at is null;
