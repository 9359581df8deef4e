"""Queues of what has to be fetched. Data and rules, without calls.

A `Flight` is one fetch that any number of callers share. A `Lane` has the flights of one identity in one region: urgent
and bulk, and in each those that can be batched and those that must go alone. It remembers whether the role works,
whether it may batch, and which secrets must go alone. `batcher.py` sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import NamedTuple

from secretsyncer.aws.failure_memory import FailureMemory
from secretsyncer.aws.failures import Failure
from secretsyncer.aws.identity import Identity, SecretRef
from secretsyncer.aws.services import Service
from secretsyncer.aws.value import SecretValue
from secretsyncer.turns import Turns

Result = SecretValue | Failure


class LaneKey(NamedTuple):
    """The identity and the region of a lane."""

    identity: Identity
    region: str


class Flight:
    """One queued or running fetch. `future` gets the result and must not be cancelled.

    `round` is the round of polling in which it is sent. `party`: the read that it is for. `waited`: a caller awaits it.
    `likely`: it is not needed for sure. `suspect`: a batch failed as a whole, perhaps because of this flight.
    """

    __slots__ = ("future", "likely", "party", "ref", "round", "sent", "suspect", "waited")

    def __init__(self, ref: SecretRef, round_: int) -> None:
        self.ref = ref
        self.round = round_
        self.party: Hashable = None
        self.future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.sent = False
        self.waited = False
        self.likely = False
        self.suspect = False

    @classmethod
    def landed(cls, ref: SecretRef, round_: int, result: Result) -> Flight:
        """A flight with its result."""
        flight = cls(ref, round_)
        flight.future.set_result(result)
        return flight


class _Line:
    """Flights that wait to be sent. Reads take turns, so that one of 5,000 secrets does not delay one of a few."""

    __slots__ = ("alone", "alone_first", "batch")

    def __init__(self) -> None:
        self.batch: Turns[SecretRef, Flight] = Turns()
        self.alone: Turns[SecretRef, Flight] = Turns()
        self.alone_first = True


class Lane:
    """The queues and the state of one identity in one region. Times are from the caller's clock."""

    __slots__ = (
        "_bulk",
        "_service",
        "_urgent",
        "alone_until",
        "failed",
        "flushing",
        "key",
        "proven",
        "refused_until",
        "running",
    )

    def __init__(self, key: LaneKey, service: Service) -> None:
        self.key = key
        self._service = service
        self._urgent = _Line()
        self._bulk = _Line()
        self.running = 0
        self.flushing = False
        self.proven = False
        self.failed = FailureMemory()
        self.refused_until = 0.0
        self.alone_until: dict[SecretRef, float] = {}

    def add(self, flight: Flight, *, urgent: bool, alone: bool) -> None:
        """Queue the flight."""
        line = self._urgent if urgent else self._bulk
        (line.alone if alone else line.batch).add(flight.party, flight.ref, flight)

    def must_go_alone(self, ref: SecretRef, now: float) -> bool:
        """Whether it cannot be batched, or AWS denied it in a batch."""
        special = bool(ref.version_id or ref.stage) and not self._service.batches_versions
        return special or self.alone_until.get(ref, 0.0) > now

    def promote(self, flight: Flight, party: Hashable) -> None:
        """Another read wants it, too: make it urgent, and let it wait where fewer others do."""
        for bulk, urgent in ((self._bulk.batch, self._urgent.batch), (self._bulk.alone, self._urgent.alone)):
            queued = next((queue for queue in (bulk, urgent) if queue.holds(flight.party, flight.ref)), None)
            if queued is bulk or (queued is urgent and urgent.length(party) < urgent.length(flight.party)):
                queued.remove(flight.party, flight.ref)
                flight.party = party
                urgent.add(party, flight.ref, flight)

    def take(self, now: float) -> list[Flight]:
        """The flights of the next call: urgent ones first, filled up with bulk."""
        size = 1 if self.refused_until > now else self._service.batch_size
        for line in (self._urgent, self._bulk):
            if line.alone and (line.alone_first or not line.batch):
                line.alone_first = False
                return [line.alone.take()[2]]
            if line.batch:
                line.alone_first = True
                chunk: list[Flight] = []
                for queue in (self._urgent.batch, self._bulk.batch):
                    while queue and len(chunk) < size:
                        chunk.append(queue.take()[2])
                return chunk
        return []

    def take_waited(self) -> list[Flight]:
        """All queued flights that a caller awaits."""
        taken = []
        for queue in self._queues():
            mine = [flight for flight in queue.notes() if flight.waited]
            for flight in mine:
                queue.remove(flight.party, flight.ref)
            taken += mine
        return taken

    def waiting(self) -> bool:
        return any(self._queues())

    def forget_expired(self, now: float) -> None:
        self.alone_until = {ref: until for ref, until in self.alone_until.items() if until > now}

    def _queues(self) -> tuple[Turns[SecretRef, Flight], ...]:
        return (self._urgent.batch, self._urgent.alone, self._bulk.batch, self._bulk.alone)
