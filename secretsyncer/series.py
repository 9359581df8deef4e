"""Series of metrics that are created when they are scraped, so that a reconcile only records its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

OBJECT = ("namespace", "name")
"""Labels of an object."""


class ObjectState(NamedTuple):
    """What the metrics report about one object; `synced_at` is 0 until its first sync."""

    reason: str = ""
    ready: bool = False
    failing: bool = False
    synced_at: float = 0.0


class ObjectSeries(Collector):
    """The series of each SyncedSecret, created when they are scraped: a reconcile only records its result.

    They are created in a thread. A state is replaced as a whole, and the copy is one step of the interpreter.
    """

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], ObjectState] = {}

    def describe(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "secretsyncer_object_ready",
                "Whether the SyncedSecret is ready (1) or not (0), by the reason of its Ready condition",
                labels=(*OBJECT, "reason"),
            ),
            GaugeMetricFamily(
                "secretsyncer_object_last_sync_timestamp_seconds",
                "Unix time of the last successful reconcile or resync of the SyncedSecret",
                labels=OBJECT,
            ),
        )

    def collect(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        ready, last_sync = self.describe()
        for names, state in self.states.copy().items():
            ready.add_metric((*names, state.reason), state.ready)
            if state.synced_at:
                last_sync.add_metric(names, state.synced_at)
        return ready, last_sync


class SecretSeries(Collector):
    """The series of the AWS secrets in use, created when they are scraped. Others have none, so their number is bounded.

    `rows` returns what is known of each secret: its name, and values by the end of the metric's name.
    """

    KINDS: ClassVar[dict[str, str]] = {
        "rotation_overdue": "1 if the AWS secret's automatic rotation is overdue by a day, otherwise 0",
        "last_rotated_timestamp_seconds": "Unix time of the last rotation of the AWS secret",
        "expiry_timestamp_seconds": "Unix time of the expiry of the AWS secret, by its tag EXPIRY_TAG",
        "deletion_timestamp_seconds": "Unix time of the deletion of an AWS secret that is scheduled for deletion",
    }

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows: Callable[[], Iterable[tuple[str, Mapping[str, float]]]] = tuple
        registry.register(self)

    def describe(self) -> tuple[GaugeMetricFamily, ...]:
        return tuple(
            GaugeMetricFamily(f"secretsyncer_secret_{kind}", f"{text} (only of secrets in use)", labels=("secret",))
            for kind, text in self.KINDS.items()
        )

    def collect(self) -> tuple[GaugeMetricFamily, ...]:
        families = self.describe()
        for name, values in self.rows():
            for kind, family in zip(self.KINDS, families, strict=True):
                if kind in values:
                    family.add_metric((name,), values[kind])
        return families
