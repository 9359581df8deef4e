"""AWS: what the operator reads from Secrets Manager and STS, and how it keeps it.

    poller -> catalogue (what there is)        cache (values) -> batcher -> secrets -> sessions -> AWS

`poller` lists, `cache` answers for values, `sessions` is the one place that holds clients and credentials.
`arn` and `identity` are pure and import nothing of AWS's libraries, so that the rules above may use them.
Errors of AWS are turned into `errors.SyncFailure` by the table in `failures`; none leaves this package raw.
"""
