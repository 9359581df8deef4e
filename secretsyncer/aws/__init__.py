"""AWS: reads from Secrets Manager and STS.

    listing/   poller -> catalogue: which secrets exist, in which version
    values/    cache -> batcher: the values, fetched in batches
    api/       sessions: the only place with AWS clients and credentials

`arn`, `identity`, `value` and `listing/catalogue` are pure and do not import AWS's libraries, so `sync/` can use them
for its decisions. The table in `failures` turns every error of AWS into an `errors.SyncFailure`.
"""
