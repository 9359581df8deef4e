"""One SyncedSecret, in the order of a reconcile: fetch, authorize, render, apply, report.

The controller queues keys and runs the workers; `reconcile` has the five steps for one object.
"""
