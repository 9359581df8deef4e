"""A Kubernetes API server in memory, written against the documented behaviour and not against our client.

A request goes through `server` (HTTP), `requests` (reads it), `faults` (injected failures) and `operations`. These
call `objects` (create, update, patch, delete; `bodies` checks what is sent) or `lists`, and return what `views`
makes of the result. A watch is a stream of `watches`. All of them use `store` (revisions and history), `resources`
(what is served: `builtins` with their `rules`, and `crds`) and a module for each kind of check: `metadata`, `pruning`,
`schema`, `selectors`, `patches`. `columns` has the cells of tables, `discovery` what clients read first, `errors` the
refusals. `controllers` does what follows from a write.
"""
