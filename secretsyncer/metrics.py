"""Every metric of the program, declared in one place.

One `Metrics` object belongs to one registry (tests make their own). Counters start at 0 for the label sets
that are known ahead, so that an alert on `rate()` sees the first failure. Series of a deleted object are
removed by `forget_object`. Units are in the names: seconds, bytes. `secret_sync_success` and
`secret_sync_failures` are the Go operator's numbers of objects, with right values.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from secretsyncer import __version__

_OBJECT = ("namespace", "name")
_LATENCIES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RESULTS = ("changed", "unchanged", "rejected", "unavailable", "timeout", "bug", "gone")
"""How a reconcile of one object can end: the label `result` of `secretsyncer_reconciles_total`."""


@dataclass(slots=True)
class _ObjectState:
    """What the metrics show of one object; `synced_at` is 0 until it has been in step once."""

    reason: str = ""
    ready: bool = False
    failing: bool = False
    synced_at: float = 0.0


class ObjectSeries(Collector):
    """The series of each SyncedSecret, made when they are scraped: a reconcile only notes how it ended."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], _ObjectState] = {}

    def describe(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "secretsyncer_object_ready",
                "Whether the SyncedSecret is ready (1 or 0), with the reason of its Ready condition",
                labels=(*_OBJECT, "reason"),
            ),
            GaugeMetricFamily(
                "secretsyncer_object_last_sync_timestamp_seconds",
                "When the SyncedSecret was last known to be in step with AWS",
                labels=_OBJECT,
            ),
        )

    def collect(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        ready, last_sync = self.describe()
        for names, state in self.states.items():
            ready.add_metric((*names, state.reason), state.ready)
            if state.synced_at:
                last_sync.add_metric(names, state.synced_at)
        return ready, last_sync


class Metrics:
    """The metrics of one process. Attributes are prometheus_client metrics; use them directly."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        gauge = partial(Gauge, registry=registry)
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.sync_success = gauge("secret_sync_success", "Number of SyncedSecrets that are in step with AWS")
        self.sync_failures = gauge("secret_sync_failures", "Number of SyncedSecrets that cannot be synced")
        self.objects = ObjectSeries()
        registry.register(self.objects)
        self.reconciles = counter(
            "secretsyncer_reconciles_total", "Reconciles of one object, by result", ("result",)
        )
        self.reconcile_seconds = histogram(
            "secretsyncer_reconcile_duration_seconds",
            "Duration of a reconcile (resyncs that find nothing changed are not timed)",
            buckets=_LATENCIES,
        )
        self.queue_depth = gauge("secretsyncer_queue_depth", "Keys waiting in the work queue")
        self.queue_delayed = gauge("secretsyncer_queue_delayed", "Keys waiting for a timer (resyncs and retries)")
        self.queue_wait_seconds = histogram(
            "secretsyncer_queue_wait_seconds",
            "Time a key waited for a worker",
            ("priority",),
            buckets=_LATENCIES,
        )
        self.queue_retries = counter("secretsyncer_queue_retries_total", "Keys queued again after a failure")
        self.queue_longest_running = gauge(
            "secretsyncer_queue_longest_running_seconds", "Age of the longest reconcile now running"
        )
        self.aws_calls = counter(
            "secretsyncer_aws_calls_total",
            "AWS API calls, by operation and outcome",
            ("operation", "outcome"),
        )
        self.aws_call_seconds = histogram(
            "secretsyncer_aws_call_duration_seconds",
            "Time of AWS calls",
            ("operation",),
            buckets=_LATENCIES,
        )
        self.aws_clients = gauge("secretsyncer_aws_clients", "Open AWS clients (one per role and region)")
        self.cache_requests = counter(
            "secretsyncer_cache_requests_total",
            "Values wanted from the cache: hit, miss, joined",
            ("result",),
        )
        self.cache_values = gauge("secretsyncer_cache_values", "Values held in the cache")
        self.catalogue_secrets = gauge("secretsyncer_catalogue_secrets", "Secrets in the last listing")
        self.catalogue_timestamp = gauge(
            "secretsyncer_catalogue_timestamp_seconds", "When the last complete listing ended (0: never)"
        )
        self.poll_interval = gauge(
            "secretsyncer_poll_interval_seconds",
            "Time between two listings (POLL_INTERVAL_SEC), for use in alerts",
        )
        self.polls = counter("secretsyncer_polls_total", "Listings, by outcome", ("outcome",))
        self.poll_seconds = histogram("secretsyncer_poll_duration_seconds", "Time of a listing", buckets=_LATENCIES)
        self.kube_requests = counter(
            "secretsyncer_kubernetes_requests_total",
            "Requests to the Kubernetes API, by verb, resource and HTTP status (0: no answer)",
            ("verb", "resource", "status"),
        )
        self.watch_restarts = counter(
            "secretsyncer_watch_restarts_total",
            "Watches opened again, by resource and cause",
            ("resource", "cause"),
        )
        self.relists = counter("secretsyncer_relists_total", "Lists of an informer, by resource", ("resource",))
        self.informer_objects = gauge(
            "secretsyncer_informer_objects", "Objects in an informer's store", ("resource",)
        )
        self.events = counter("secretsyncer_events_total", "Kubernetes Events: sent, dropped, failed", ("outcome",))
        self.push_messages = counter(
            "secretsyncer_push_messages_total",
            "Messages of the events queue: about a secret, ignored, malformed",
            ("outcome",),
        )
        self.push_up = gauge("secretsyncer_push_up", "1 while the events queue answers (0: not, or none is set)")
        self.leader = gauge("secretsyncer_leader", "1 while this process leads (or needs no election)")
        self.template_renders = counter(
            "secretsyncer_template_renders_total", "Template renders, by outcome", ("outcome",)
        )
        self.loop_lag_seconds = gauge("secretsyncer_event_loop_lag_seconds", "Lag of the event loop, last measure")
        info = gauge("secretsyncer_build_info", "Always 1", ("version", "python"))
        info.labels(__version__, platform.python_version()).set(1)
        _start_at_zero(self.reconciles, RESULTS)
        _start_at_zero(self.polls, ("success", "failure"))
        _start_at_zero(self.cache_requests, ("hit", "miss", "joined"))
        _start_at_zero(self.push_messages, ("secret", "ignored", "malformed"))
        _start_at_zero(self.events, ("sent", "dropped", "failed"))
        _start_at_zero(self.template_renders, ("success", "needs", "failure"))

    def total(self, metric: MetricWrapperBase, **labels: str) -> float:
        """The sum of a counter's series that carry these labels."""
        return sum(
            sample.value
            for family in metric.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and labels.items() <= sample.labels.items()
        )

    def observe_object(self, namespace: str, name: str, *, reason: str, ready: bool, failing: bool) -> None:
        """The state of a SyncedSecret now; it replaces the one before. A suspended one is neither ready nor failing."""
        state = self.objects.states.get((namespace, name))
        if state is None:
            state = self.objects.states[namespace, name] = _ObjectState()
        if state.reason != reason:
            self.sync_success.inc(ready - state.ready)
            self.sync_failures.inc(failing - state.failing)
            state.reason, state.ready, state.failing = reason, ready, failing
        if ready:
            state.synced_at = time.time()

    def forget_object(self, namespace: str, name: str) -> None:
        """Remove every series of a SyncedSecret that is gone."""
        state = self.objects.states.pop((namespace, name), None)
        if state is not None:
            self.sync_success.dec(state.ready)
            self.sync_failures.dec(state.failing)


def _start_at_zero(metric: MetricWrapperBase, values: Iterable[str]) -> None:
    for value in values:
        metric.labels(value)
