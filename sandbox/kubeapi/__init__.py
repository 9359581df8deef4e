"""The embedded Kubernetes API, written against Kubernetes' documented behaviour and not our client.

The way of a request: `server` (HTTP) reads it with `requests`, lets `faults` strike, and asks
`operations`, which call `objects` (the life of objects, with `bodies` for what is sent) or `lists` and
show the result with `views`; a watch is a stream of `watches`. Below them: `store` (revisions and
history), `resources` with `builtins`, `rules` and `crds` (what is served), `metadata`, `pruning`,
`schema`, `selectors`, `patches`, `ownership` with `fieldsets`, `columns`, `errors` (rules of one thing
each), `discovery` (what clients read to find all this), `controllers` (what follows from a write).
"""
