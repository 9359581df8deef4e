"""The stand-ins for AWS. Which one to use:

- `model`: secrets, roles and permissions as plain Python, without clients and without I/O. Other stand-ins build on it.
- `parameters`: the part of the model that is Parameter Store.
- `http`: the model behind the wire protocols of AWS, with faults and counted calls. For tests of
  the operator as a process, and for benchmarks.
- `moto_server`: moto's server, a widely used emulator. For the demo, and to confirm with an independent implementation.
- `moto_secrets` and `moto_sqs`: a user of moto's server, who changes secrets and sends messages with boto3.

Stand-ins that replace a part of the operator are in `tests/support`, because they depend on its interfaces:

- `in_process_aws`: the operator's `ServiceApi` on the model. For unit tests in virtual time.
- `cache_rig`: the value cache on `in_process_aws`, with listings on demand.
- `value_source`: the operator's `ValueSource` as a dictionary. For unit tests of a reconcile.
- `wired_aws`: all of the operator's AWS side, connected to `http` or moto over loopback.
"""
