-- Facts of a stretch of time in the order of time, of all and of one node: a walk back from the newest fact took the longer
-- the more there were.

drop index fact_by_time;
create index fact_by_time on fact (as_of, id);
create index fact_of_network_node_by_time on fact (network, network_node_id, as_of, id) where network_node_id is not null;
