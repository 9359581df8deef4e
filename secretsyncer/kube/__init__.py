"""Kubernetes, as raw JSON: client, informers, work queue, events, lease.

The flow is *reflector -> informer -> work queue*: a `Reflector` lists and watches, its `Informer` keeps the
objects and tells handlers, handlers put keys into the `WorkQueue`. `EventRecorder` and `LeaderElector` stand
beside it. All of them talk through `KubeClient`; only `transport.py` and `stream.py` know HTTP, and only
`credentials.py` knows `kubernetes_asyncio`. Nothing here knows AWS or what a SyncedSecret means.
"""
