"""One source of the listing, for people: what is listed, how old that is, when the next poll is, and what it costs."""

from __future__ import annotations

import math
from typing import NamedTuple

from secretsyncer.aws.services import SECRETS_MANAGER, SERVICES, Service, service_of_operation

DAY = 86_400
PRICES = {
    **{operation: service.price for service in SERVICES.values() for operation in service.answers},
    **dict.fromkeys(("AssumeRole", "GetCallerIdentity"), 0.0),
}
"""Dollars per call, by operation."""


class Outlook(NamedTuple):
    """`listed_at` is a wall clock time, `due` one of the loop's clock; None: not yet. `problem`: why listing fails."""

    service: str
    operation: str
    region: str
    identity: str
    secrets: int
    listed_at: float | None
    due: float | None
    problem: str | None
    calls_per_day: float

    @property
    def kind(self) -> str:
        """What is listed, in one word."""
        return service_of_operation(self.operation).kind

    @property
    def dollars_per_day(self) -> float:
        return self.calls_per_day * PRICES[self.operation]


def calls_per_day(
    secrets: int, service: Service = SECRETS_MANAGER, interval: float = 300, changes_interval: float = 0
) -> float:
    """Calls to list so many secrets: all of them every `interval`, and the first page every `changes_interval` (0: never)."""
    pages = max(1, math.ceil(secrets / service.page_size))
    return DAY * (pages / interval + (1 / changes_interval if changes_interval else 0))
