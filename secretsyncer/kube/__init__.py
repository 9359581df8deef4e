"""Kubernetes, as raw JSON: client, informers, work queue, Events, Lease.

The flow is *reflector -> informer -> work queue*: a `Reflector` lists and watches, an `Informer` keeps the objects and
calls its handlers, and the handlers add keys to the `WorkQueue`. All of them, `EventRecorder` and `LeaderElector` use
`KubeClient`. Nothing here imports AWS, or the model of a SyncedSecret.
"""
