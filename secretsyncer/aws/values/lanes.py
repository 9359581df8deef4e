"""What waits to be fetched: flights in the lines of a lane. Data and its rules, no calls.

A `Flight` is one fetch that any number of callers share. Flights of one identity and region form a `Lane`:
urgent ones and bulk, and in each those that may travel in a batch and those that must go alone. The lane
remembers what AWS taught it: whether it works at all, whether the role may batch, which secrets must go
alone. `batcher.py` moves them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from secretsyncer.aws.api.secretsmanager import BATCH_SIZE
from secretsyncer.aws.arn import without_suffix
from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import Failure
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.value import SecretValue

Result = SecretValue | Failure


class LaneKey(NamedTuple):
    """As whom and where calls are made."""

    identity: Identity
    region: str


class Flight:
    """One fetch that is wanted or under way; `future` gets its result, and must not be cancelled.

    `round` is the round of polling in which it was, or will be, sent. `waited`: somebody awaits it.
    `suspect`: a batch failed as a whole, perhaps because of this one.
    """

    __slots__ = ("future", "ref", "round", "sent", "suspect", "waited")

    def __init__(self, ref: SecretRef, round_: int) -> None:
        self.ref = ref
        self.round = round_
        self.future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.sent = False
        self.waited = False
        self.suspect = False

    @classmethod
    def landed(cls, ref: SecretRef, round_: int, result: Result) -> Flight:
        """A flight that has its result already."""
        flight = cls(ref, round_)
        flight.future.set_result(result)
        return flight


class _Line:
    """Flights that wait to be sent, first come first served."""

    __slots__ = ("alone", "batch")

    def __init__(self) -> None:
        self.batch: OrderedDict[SecretRef, Flight] = OrderedDict()
        self.alone: OrderedDict[SecretRef, Flight] = OrderedDict()


class Lane:
    """What waits, runs and is known for one identity in one region. Times are the caller's clock's."""

    __slots__ = (
        "_bulk",
        "_urgent",
        "alone_until",
        "failed",
        "flushing",
        "key",
        "proven",
        "refused_until",
        "running",
    )

    def __init__(self, key: LaneKey) -> None:
        self.key = key
        self._urgent = _Line()
        self._bulk = _Line()
        self.running = 0
        self.flushing = False
        self.proven = False
        self.failed = FailureMemory()
        self.refused_until = 0.0
        self.alone_until: dict[SecretRef, float] = {}

    def add(self, flight: Flight, *, urgent: bool, alone: bool) -> None:
        """Put the flight in line."""
        line = self._urgent if urgent else self._bulk
        (line.alone if alone else line.batch)[flight.ref] = flight

    def must_go_alone(self, ref: SecretRef, now: float) -> bool:
        """Whether a batch cannot ask for it, or AWS refused it in one."""
        return bool(ref.version_id or ref.stage) or self.alone_until.get(ref, 0.0) > now

    def promote(self, ref: SecretRef) -> None:
        """Make it urgent, if it waits among the bulk."""
        for bulk, urgent in ((self._bulk.batch, self._urgent.batch), (self._bulk.alone, self._urgent.alone)):
            if flight := bulk.pop(ref, None):
                urgent[ref] = flight

    def take(self, now: float) -> list[Flight]:
        """What the next call fetches: urgent before bulk, and bulk to fill up an urgent batch."""
        size = 1 if self.refused_until > now else BATCH_SIZE
        for line in (self._urgent, self._bulk):
            if line.alone:
                return [line.alone.popitem(last=False)[1]]
            if line.batch:
                chunk: list[Flight] = []
                for queue in (self._urgent.batch, self._bulk.batch):
                    while queue and len(chunk) < size:
                        chunk.append(queue.popitem(last=False)[1])
                return chunk
        return []

    def take_waited(self) -> list[Flight]:
        """All in line that somebody awaits."""
        taken = []
        for queue in self._queues():
            mine = [flight for flight in queue.values() if flight.waited]
            for flight in mine:
                del queue[flight.ref]
            taken += mine
        return taken

    def waiting(self) -> bool:
        return any(self._queues())

    def forget_expired(self, now: float) -> None:
        self.alone_until = {ref: until for ref, until in self.alone_until.items() if until > now}

    def _queues(self) -> tuple[OrderedDict[SecretRef, Flight], ...]:
        return (self._urgent.batch, self._urgent.alone, self._bulk.batch, self._bulk.alone)


def match(ids: Sequence[str], values: Sequence[SecretValue]) -> dict[str, SecretValue]:
    """The value for each id. A name takes no value that answers an ARN: it may be another account's."""
    by_arn = {form: value for value in values for form in (value.arn, without_suffix(value.arn))}
    matched = {id_: by_arn[id_] for id_ in ids if id_.startswith("arn:") and id_ in by_arn}
    taken = {value.arn for value in matched.values()}
    names = {id_ for id_ in ids if not id_.startswith("arn:")}
    matched |= {value.name: value for value in values if value.name in names and value.arn not in taken}
    return matched
