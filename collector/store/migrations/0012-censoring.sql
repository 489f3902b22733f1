-- How far the ends of a layer's stretch were seen: what a study of how long things last has to know.

alter table layer_interval
  -- What told that it began: an event of the node's own, a look that found it so, or the operator; null: not noted yet.
  add column begun_by text check (begun_by in ('event', 'look', 'inventory')),
  add column start_censoring text not null default 'unknown' check (start_censoring in ('none', 'interval', 'left', 'unknown')),
  add column end_censoring text not null default 'unknown' check (end_censoring in ('none', 'interval', 'right', 'unknown'));

-- Of what is there the neighbours tell most. Verdicts and rewards are looked for and never told by an event; of the layers
-- that a node's own lines tell, it is not known any more whether an event or a sample did.
update layer_interval set begun_by = case when evidence ->> 'kind' = 'inventory' then 'inventory' else 'look' end
where layer in ('verdict', 'reward');
with seen as (
  select id, value, begun_by, evidence ->> 'kind' as kind, lag(value) over node_layer as previous
  from layer_interval window node_layer as (partition by node_id, layer order by from_at)
), started as (
  select *, case
    when value = 'unknown' then 'none'
    when previous is null or previous = 'unknown' then case when begun_by is null and kind = 'line' then 'unknown' else 'left' end
    when begun_by is null then 'unknown'
    else 'interval'
  end as start
  from seen
), ended as (
  select one.id, one.start, one.value, lead(one.start) over node_layer as next_start, lead(one.value) over node_layer as next_value,
    lead(one.begun_by) over node_layer as next_begun_by
  from started as one join layer_interval using (id)
  window node_layer as (partition by node_id, layer_interval.layer order by from_at)
)
update layer_interval set start_censoring = ended.start, end_censoring = case
    when ended.next_value is null then 'right'
    when ended.value = 'unknown' then 'none'
    when ended.next_value = 'unknown' then 'right'
    when ended.next_begun_by = 'inventory' then 'right'
    else ended.next_start
  end
from ended where ended.id = layer_interval.id;
