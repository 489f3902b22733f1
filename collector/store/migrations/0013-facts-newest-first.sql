-- Facts are listed by the instant of the answer that they come from, the newest first, whatever else is asked for: a newer
-- parser adds facts of old answers, which stand last in the order of storing and are not the newest. Each list is a walk
-- along one index that ends with the page.

drop index fact_of_network_node;
create index fact_of_network_node on fact (network, network_node_id, metric, as_of, id) where network_node_id is not null;
drop index fact_of_day;
create index fact_of_day on fact (day, as_of, id) where day is not null;
create index fact_of_metric on fact (metric, as_of, id);

-- Those of accounts are few among those of nodes; those of all accounts are read account by account.
drop index fact_of_account;
create index fact_of_account on fact (network, account, metric, as_of, id) where network_node_id is null;
create index fact_of_account_by_time on fact (network, account, as_of, id) where network_node_id is null;
