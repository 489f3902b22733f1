-- The schedule's ledger: every due time of every job is a row of run, whatever became of it.

create table job (
  name text primary key,
  -- The node-cron expression (UTC) in force; null: not known yet to this release.
  cron text,
  -- Every due time up to this instant, itself included, is a row of run.
  planned_until timestamptz not null,
  -- While this lies ahead, a run of the job is under way. The database's clock decides.
  busy_until timestamptz,
  -- When the job was taken off the schedule.
  ended_at timestamptz
) with (fillfactor = 50);

alter table run
  alter column claimed_at drop not null,
  alter column lease_until drop not null,
  add column attempts integer not null default 1,
  add column claimed_by text,
  add column reason text,
  -- A later run can still answer for this due time, if it was missed: a daily series reaches back.
  add column answerable boolean not null default false,
  add column answered_by bigint references run;
alter table run alter column attempts set default 0;

update run set finished_at = lease_until, outcome = 'failed', reason = 'the collector ended before it was done'
where finished_at is null;
update run set outcome = 'failed' where outcome is null;
insert into job (name, planned_until) select job, max(due) from run group by job;

alter table run add check ((finished_at is null) = (outcome is null)), add check (attempts > 0 or claimed_at is null);
create index run_open on run (job, due) where finished_at is null;
create index run_unanswered on run (job, due) where answerable and answered_by is null and outcome = 'missed';
create index run_by_due on run (due, id);
