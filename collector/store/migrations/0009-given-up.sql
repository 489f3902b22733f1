-- Messages that were given up are counted for whoever watches the collector.
create index alert_delivery_given_up on alert_delivery (given_up_at) where given_up_at is not null;
