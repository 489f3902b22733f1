-- Facts of all accounts are read account by account: beside each account's own indexes these were not what was walked.

drop index fact_of_accounts;
drop index fact_of_accounts_by_time;
