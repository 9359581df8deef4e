"""All metrics of the operator.

One `Metrics` belongs to one registry; tests create their own. Counters start at 0 for label values that are known in
advance, so that an alert on `rate()` sees the first failure. `forget_object` removes the series of a deleted object.
Units are in the names. `secret_sync_success` and `secret_sync_failures` have the names of the Go operator.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from secretsyncer import __version__
from secretsyncer.series import ObjectSeries, ObjectState, SecretSeries

_LATENCIES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RESULTS = ("changed", "unchanged", "rejected", "unavailable", "timeout", "bug", "gone")
"""Values of the label `result` of `secretsyncer_reconciles_total`."""
SERVICES = ("SecretsManager", "ParameterStore")
"""Values of the label `service`."""
_FIRST_SERVICE = "SecretsManager"
"""It is listed in any case, so that its series begin with the process."""


class RestartMetrics:
    """The metrics of restarts of workloads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.total = Counter(
            "secretsyncer_restarts_total",
            "Number of restarts of workloads: restarted, or blocked (not possible, for a new reason)",
            ("outcome",),
            registry=registry,
        )
        self.pending = Gauge(
            "secretsyncer_restarts_pending",
            "Number of SyncedSecrets with workloads that have to be restarted",
            registry=registry,
        )
        self.blocked = Gauge(
            "secretsyncer_restarts_blocked",
            "Number of SyncedSecrets with workloads that cannot be restarted until somebody changes something",
            registry=registry,
        )
        _start_at_zero(self.total, ("restarted", "blocked"))


class Metrics:
    """The metrics of one process. The attributes are prometheus_client metrics; use them directly."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        gauge = partial(Gauge, registry=registry)
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.sync_success = gauge("secret_sync_success", "Number of SyncedSecrets that are in sync")
        self.sync_failures = gauge("secret_sync_failures", "Number of SyncedSecrets that cannot be synced")
        self.objects = ObjectSeries()
        registry.register(self.objects)
        self.secrets, self.restarts = SecretSeries(registry), RestartMetrics(registry)
        self.reconciles = counter(
            "secretsyncer_reconciles_total", "Number of reconciles and resyncs, by result", ("result",)
        )
        self.reconcile_seconds = histogram(
            "secretsyncer_reconcile_duration_seconds",
            "Duration of a full reconcile (resyncs that find no change are not timed)",
            buckets=_LATENCIES,
        )
        self.queue_depth = gauge("secretsyncer_queue_depth", "Number of keys that wait for a worker")
        self.queue_delayed = gauge(
            "secretsyncer_queue_delayed", "Number of keys that wait for a timer: retries and resyncs"
        )
        self.queue_wait_seconds = histogram(
            "secretsyncer_queue_wait_seconds",
            "Time that a key waited for a worker, by priority; `long`: those that take long have few workers",
            ("priority",),
            buckets=_LATENCIES,
        )
        self.queue_retries = counter("secretsyncer_queue_retries_total", "Number of keys requeued after a failure")
        self.queue_longest_running = gauge(
            "secretsyncer_queue_longest_running_seconds", "Duration so far of the longest running reconcile"
        )
        self.aws_calls = counter(
            "secretsyncer_aws_calls_total",
            "Number of AWS API calls, by operation and outcome",
            ("operation", "outcome"),
        )
        self.aws_call_seconds = histogram(
            "secretsyncer_aws_call_duration_seconds",
            "Duration of AWS API calls, by operation",
            ("operation",),
            buckets=_LATENCIES,
        )
        self.aws_clients = gauge("secretsyncer_aws_clients", "Number of open AWS clients (one per role and region)")
        self.aws_calls_refused = counter(
            "secretsyncer_aws_calls_refused_total",
            "Number of AWS API calls that were not made, because no connection of their role's share became free",
        )
        self.cache_requests = counter(
            "secretsyncer_cache_requests_total",
            "Number of reads from the value cache, by service: hit, miss, joined (another read already fetches the value)",
            ("service", "result"),
        )
        self.cache_values = gauge("secretsyncer_cache_values", "Number of values in the cache")
        self.catalogue_secrets = gauge(
            "secretsyncer_catalogue_secrets",
            "Number of secrets or parameters in the last complete listing, by service",
            ("service",),
        )
        self.catalogue_timestamp = gauge(
            "secretsyncer_catalogue_timestamp_seconds",
            "Unix time of the last complete listing, by service (0: none yet)",
            ("service",),
        )
        self.poll_interval = gauge(
            "secretsyncer_poll_interval_seconds",
            "POLL_INTERVAL_SEC, for use in alerts",
        )
        self.polls = counter(
            "secretsyncer_polls_total", "Number of listings, by service and outcome", ("service", "outcome")
        )
        self.change_polls = counter(
            "secretsyncer_change_polls_total", "Number of listings of recent changes, by outcome", ("outcome",)
        )
        self.poll_seconds = histogram(
            "secretsyncer_poll_duration_seconds",
            "Duration of a listing, by service",
            ("service",),
            buckets=_LATENCIES,
        )
        self.undone_writes = counter(
            "secretsyncer_undone_writes_total",
            "Number of writes of Secrets that somebody else undid within seconds",
        )
        self.kube_requests = counter(
            "secretsyncer_kubernetes_requests_total",
            "Number of requests to the Kubernetes API, by verb, resource and HTTP status (0: no response)",
            ("verb", "resource", "status"),
        )
        self.watch_restarts = counter(
            "secretsyncer_watch_restarts_total",
            "Number of watches that were reopened, by resource and cause",
            ("resource", "cause"),
        )
        self.relists = counter(
            "secretsyncer_relists_total",
            "Number of lists by informers, the first one included, by resource",
            ("resource",),
        )
        self.informer_objects = gauge(
            "secretsyncer_informer_objects",
            "Number of objects in the store of an informer, by resource",
            ("resource",),
        )
        self.missing_secrets = gauge(
            "secretsyncer_missing_secrets", "Number of objects that wait for a Secret that does not exist"
        )
        self.events = counter(
            "secretsyncer_events_total",
            "Number of Kubernetes Events: sent, summarised (counted in an Event about the namespace), dropped, failed",
            ("outcome",),
        )
        self.push_messages = counter(
            "secretsyncer_push_messages_total",
            "Number of messages from the events queue: about a secret or parameter, ignored, malformed",
            ("outcome",),
        )
        self.push_secrets = counter(
            "secretsyncer_push_secrets_total",
            "Number of secrets and parameters that the events queue named, by service: described at once, or left to a "
            "listing (too many)",
            ("service", "outcome"),
        )
        self.push_up = gauge(
            "secretsyncer_push_up", "1 while the events queue answers; 0 if it does not, or if none is configured"
        )
        self.leader = gauge(
            "secretsyncer_leader", "1 while this process is the leader, or if leader election is off"
        )
        self.template_renders = counter(
            "secretsyncer_template_renders_total", "Number of template renders, by outcome", ("outcome",)
        )
        self.loop_lag_seconds = gauge("secretsyncer_event_loop_lag_seconds", "Last measured lag of the event loop")
        info = gauge("secretsyncer_build_info", "Always 1; the version is in the labels", ("version", "python"))
        info.labels(__version__, platform.python_version()).set(1)
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        """Create the series that are known in advance."""
        _start_at_zero(self.reconciles, RESULTS)
        self.catalogue_secrets.labels(_FIRST_SERVICE)
        self.catalogue_timestamp.labels(_FIRST_SERVICE)
        for service in SERVICES:
            _start_at_zero(self.polls, ("success", "failure"), service)
            _start_at_zero(self.cache_requests, ("hit", "miss", "joined"), service)
            _start_at_zero(self.push_secrets, ("described", "listed"), service)
        _start_at_zero(self.change_polls, ("success", "failure", "unsupported"))
        _start_at_zero(self.push_messages, ("secret", "parameter", "ignored", "malformed"))
        _start_at_zero(self.events, ("sent", "summarised", "dropped", "failed"))
        _start_at_zero(self.template_renders, ("success", "needs", "failure"))

    def total(self, metric: MetricWrapperBase, **labels: str) -> float:
        """The sum of the counter over all series with these labels."""
        return sum(
            sample.value
            for family in metric.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and labels.items() <= sample.labels.items()
        )

    def observe_object(self, namespace: str, name: str, *, reason: str, ready: bool, failing: bool) -> None:
        """Record the state of a SyncedSecret. A suspended one is neither ready nor failing."""
        before = self.objects.states.get((namespace, name), ObjectState())
        if before.reason != reason:
            self.sync_success.inc(ready - before.ready)
            self.sync_failures.inc(failing - before.failing)
        synced_at = time.time() if ready else before.synced_at
        self.objects.states[namespace, name] = ObjectState(reason, ready, failing, synced_at)

    def forget_catalogue(self, service: str) -> None:
        """Remove the series of a listing that nothing needs any more."""
        for metric in (self.catalogue_secrets, self.catalogue_timestamp):
            metric.remove_by_labels({"service": service})

    def forget_object(self, namespace: str, name: str) -> None:
        """Remove all series of a deleted SyncedSecret."""
        state = self.objects.states.pop((namespace, name), None)
        if state is not None:
            self.sync_success.dec(state.ready)
            self.sync_failures.dec(state.failing)


def _start_at_zero(metric: MetricWrapperBase, values: Iterable[str], *before: str) -> None:
    """`before`: the values of the labels before the last one."""
    for value in values:
        metric.labels(*before, value)
