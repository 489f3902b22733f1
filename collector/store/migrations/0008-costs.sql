-- What each node costs, as the inventory carried it: dated list prices in micro-dollars a month, and from when to when they
-- stood there. A node without a row has no price that is known; one that costs nothing has a row that says 0.

create table cost (
  id bigint generated always as identity primary key,
  -- null: what the fleet's nodes share.
  node_id integer references node,
  item text not null,
  -- Tells apart lines of one item, in the order of the inventory.
  line integer not null,
  micro_usd_per_month bigint not null check (micro_usd_per_month >= 0),
  source text not null,
  checked_on date not null,
  from_at timestamptz not null,
  to_at timestamptz check (to_at > from_at)
);
create unique index cost_now on cost (coalesce(node_id, 0), item, line) where to_at is null;
create index cost_of_node on cost (node_id, from_at);

-- The price lines of an inventory, by the nodes that are known.
create function costs_in(inventory jsonb)
returns table (node_id integer, item text, line integer, micro_usd_per_month bigint, source text, checked_on date)
language sql stable set search_path from current as $$
  select told.node_id, told.price ->> 'item',
    (row_number() over (partition by told.node_id, told.price ->> 'item' order by told.place))::integer,
    (told.price ->> 'microUsdPerMonth')::bigint, told.price ->> 'source', (told.price ->> 'checkedOn')::date
  from (
    select node.id as node_id, price, place
    from jsonb_array_elements(inventory -> 'nodes') as record
    join node on node.key = record ->> 'key',
    jsonb_array_elements(record -> 'price') with ordinality as lines (price, place)
    union all
    select null, price, place from jsonb_array_elements(inventory -> 'shared') with ordinality as lines (price, place)
  ) as told
$$;

-- Takes the prices of an inventory that was written at an instant: what it no longer says ends, what it says anew begins.
create function take_costs(inventory jsonb, written_at timestamptz) returns void
language plpgsql set search_path from current as $$
begin
  delete from cost where to_at is null and from_at >= written_at;
  update cost set to_at = written_at where to_at is null and not exists (
    select from costs_in(inventory) as told
    where told.node_id is not distinct from cost.node_id and told.item = cost.item and told.line = cost.line
      and told.micro_usd_per_month = cost.micro_usd_per_month and told.source = cost.source
      and told.checked_on = cost.checked_on
  );
  insert into cost (node_id, item, line, micro_usd_per_month, source, checked_on, from_at)
  select told.*, written_at from costs_in(inventory) as told
  where not exists (
    select from cost where to_at is null and cost.node_id is not distinct from told.node_id and cost.item = told.item
      and cost.line = told.line
  );
end
$$;

do $$
declare
  version inventory_version;
begin
  for version in select * from inventory_version order by id loop
    perform take_costs(version.body, version.written_at);
  end loop;
end
$$;
