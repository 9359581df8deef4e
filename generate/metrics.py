"""The page on metrics, from their declarations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Metric

from generate import markdown
from secretsyncer.metrics import Metrics

_BEFORE = """\
# Metrics

The operator serves these metrics at `/metrics` on `METRICS_LISTEN`, in the Prometheus text format. Durations are in
seconds. A histogram has the series `_bucket`, `_sum` and `_count`. When an object is deleted, its series are removed.
The metrics `process_*` and `python_*` of the Prometheus client are included.
"""


def page() -> str:
    registry = CollectorRegistry()
    Metrics(registry)
    # The registry has no public list of its collectors, and the names of labels are not public either.
    declared: Iterable[Any] = registry._collector_to_names  # noqa: SLF001
    rows = [_metric(collector, family) for collector in declared for family in collector.describe()]
    table = markdown.table("Metric, Type, Labels, Meaning", rows)
    return "\n".join([markdown.note("secretsyncer/metrics.py"), _BEFORE, table])


def _metric(collector: Any, family: Metric) -> tuple[str, ...]:
    name = family.name + ("_total" if family.type == "counter" else "")
    names = getattr(family, "_labelnames", None) or getattr(collector, "_labelnames", None) or ()
    return f"`{name}`", family.type, ", ".join(f"`{label}`" for label in names), family.documentation
