"""The fields of a SyncedSecret's `spec` that are about workloads: which to restart when the Secret has changed, and when."""

from __future__ import annotations

import re
import zoneinfo
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from secretsyncer.kube.objects import packed
from secretsyncer.synced_secret.fields import NOT_EMPTY, Fields, Rule, at_least_one_of, exactly_one_of
from secretsyncer.synced_secret.formats import Format, ObjectName, duration_schema, seconds_of
from secretsyncer.synced_secret.labels import LABEL_KEY, NAME

DEFAULT_DELAY = 30.0
LONGEST_DELAY = 86_400.0
_TOO_LONG = "must be at most 24h"
MOST_TARGETS = 50
MOST_WINDOWS = 20
MOST_LABELS = 20
LONGEST = 7000
"""Bytes of the whole field as JSON: it is kept in memory, also of an object that is too large to be kept."""

Kind = Literal["Deployment", "StatefulSet", "DaemonSet", "Rollout"]
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAYS: tuple[str, ...] = get_args(Day)


def _delay(value: Any) -> float:
    seconds = seconds_of(value)
    if not 0 <= seconds <= LONGEST_DELAY:
        raise ValueError(_TOO_LONG)
    return float(seconds)


Delay = Annotated[
    float,
    BeforeValidator(_delay),
    duration_schema(_TOO_LONG, f"duration(self) <= duration('{LONGEST_DELAY:.0f}s')"),
]

TimeOfDay = Annotated[
    str,
    Field(max_length=5),
    Format(r"([01][0-9]|2[0-3]):[0-5][0-9]", "must be a time from 00:00 to 23:59"),
]


def _time_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder
        raise ValueError("must be the name of a time zone, such as Europe/Berlin or UTC") from None
    return name


TimeZone = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_time_zone)]


def _labels(given: dict[str, str]) -> dict[str, str]:
    for key, value in given.items():
        if not re.fullmatch(LABEL_KEY, key, re.ASCII) or not re.fullmatch(f"({NAME})?", value, re.ASCII):
            raise ValueError("must be labels, such as app: web")
    return given


MatchLabels = Annotated[
    dict[str, Annotated[str, Field(description="Value of the label.", max_length=63)]],
    Field(max_length=MOST_LABELS),
    AfterValidator(_labels),
]
"""The operator alone checks their form: in a list of 50, the rules of the API server would cost too much."""

_NOT_EMPTY: dict[str, Any] = {"required": ["matchLabels"], "properties": {"matchLabels": NOT_EMPTY}}


class LabelSelector(Fields):
    """Selects workloads by their labels."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "at least one label must be given",
            lambda fields: bool(fields.match_labels),
            _NOT_EMPTY,
            _NOT_EMPTY,
        ),
    )

    match_labels: MatchLabels
    """Labels that a workload must have, all of them."""


class RestartTarget(Fields):
    """A workload, by its name or its labels."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("name", "selector"),)

    kind: Kind
    """Kind of the workload. Rollout is that of Argo Rollouts."""

    name: ObjectName | None = None
    """Name of the workload, which must exist."""

    selector: LabelSelector | None = None
    """Selects workloads of this kind by their labels. It may select none."""


class RestartWindow(Fields):
    """Hours of the week."""

    days: tuple[Annotated[Day, Field(description="Day of the week.")], ...] = Field((), max_length=7)
    """Days on which the window begins. Defaults to all days."""

    from_: TimeOfDay = Field(alias="from")
    """Time of day when the window begins, such as 22:00."""

    to: TimeOfDay
    """Time of day when the window ends. If it is not after from, the window ends on the next day."""

    timezone: TimeZone = "UTC"
    """Time zone of from and to, such as Europe/Berlin. Defaults to UTC."""


class Restart(Fields):
    """Workloads to restart when the data of an existing Secret have changed. They are in the namespace of the Secret."""

    rules: ClassVar[tuple[Rule, ...]] = (at_least_one_of("targets", "consumers"),)

    targets: tuple[RestartTarget, ...] = Field((), max_length=MOST_TARGETS)
    """Workloads to restart."""

    consumers: bool = False
    """If true, every Deployment, StatefulSet and DaemonSet is restarted that mounts the Secret or refers to it in the
    environment of a container, and that has the annotation secrets.contentful.com/restart with the value true. Defaults
    to false."""

    delay: Delay | None = None
    """How long to wait after a change, at most 24h. One restart then covers the changes of all SyncedSecrets that name
    the workload. Defaults to 30s."""

    windows: tuple[RestartWindow, ...] = Field((), max_length=MOST_WINDOWS)
    """When workloads may be restarted. Outside of all windows, a restart waits. By default it never waits."""

    @property
    def seconds(self) -> float:
        """The delay."""
        return DEFAULT_DELAY if self.delay is None else self.delay


def _check_length(value: Any) -> Any:
    if len(packed(value)) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} bytes: name fewer workloads, or select them by shorter labels")
    return value


ShortRestart = Annotated[Restart, BeforeValidator(_check_length)]
"""The operator alone checks the length: a rule of the API server would cost too much."""
