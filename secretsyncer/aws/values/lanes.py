"""Queues of what has to be fetched. Data and rules, without calls.

A `Flight` is one fetch that any number of callers share. A `Lane` has the flights of one identity in one region: urgent,
bulk and early ones, and in each those that can be batched and those that must go alone. It remembers whether the role
works, whether it may batch, and which secrets must go alone. `batcher.py` sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from enum import IntEnum
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


class Rank(IntEnum):
    """Who waits for a flight. Smaller goes first."""

    URGENT = 0
    """A worker."""

    BULK = 1
    """A recheck, or a template that is only likely to need it."""

    EARLY = 2
    """Nobody yet: it is prefetched."""


class Flight:
    """One queued or running fetch. `future` gets the result and must not be cancelled.

    `round` is the round of polling in which it is sent. `party`: the read that it is for. `ahead`: it was sent before
    anybody waited for it. `likely`: it is not needed for sure. `suspect`: a batch failed as a whole, perhaps because of this
    flight.
    """

    __slots__ = ("ahead", "future", "likely", "party", "rank", "ref", "round", "sent", "suspect")

    def __init__(self, ref: SecretRef, round_: int) -> None:
        self.ref = ref
        self.rank = Rank.EARLY
        self.round = round_
        self.party: Hashable = None
        self.future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.sent = False
        self.ahead = False
        self.likely = False
        self.suspect = False

    @property
    def waited(self) -> bool:
        """Whether a caller awaits it."""
        return self.rank < Rank.EARLY

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
        "_lines",
        "_service",
        "alone_until",
        "failed",
        "flushing",
        "held_back",
        "key",
        "proven",
        "refused_until",
        "running",
    )

    def __init__(self, key: LaneKey, service: Service) -> None:
        self.key = key
        self._service = service
        self._lines = tuple(_Line() for _ in Rank)
        self.running = 0
        self.flushing = False
        self.held_back = False
        self.proven = False
        self.failed = FailureMemory()
        self.refused_until = 0.0
        self.alone_until: dict[SecretRef, float] = {}

    def add(self, flight: Flight, rank: Rank, *, alone: bool) -> None:
        """Queue the flight."""
        flight.rank = rank
        line = self._lines[rank]
        (line.alone if alone else line.batch).add(flight.party, flight.ref, flight)

    def must_go_alone(self, ref: SecretRef, now: float) -> bool:
        """Whether it cannot be batched, or AWS denied it in a batch."""
        special = bool(ref.version_id or ref.stage) and not self._service.batches_versions
        return special or self.alone_until.get(ref, 0.0) > now

    def promote(self, flight: Flight, rank: Rank, party: Hashable) -> None:
        """Another read wants it, too: let it wait among those that go first, and where fewer others do."""
        if rank > flight.rank:
            return
        old, new = self._lines[flight.rank], self._lines[rank]
        for before, queue in ((old.batch, new.batch), (old.alone, new.alone)):
            is_better = queue is not before or queue.length(party) < queue.length(flight.party)
            if is_better and before.holds(flight.party, flight.ref):
                before.remove(flight.party, flight.ref)
                flight.rank, flight.party = rank, party
                queue.add(party, flight.ref, flight)
                return

    def take(self, now: float, *, early: bool) -> list[Flight]:
        """The flights of the next call: urgent ones first, filled up with others. `early`: it may have early ones only."""
        size = 1 if self.refused_until > now else self._service.batch_size
        for line in self._lines if early else self._lines[: Rank.EARLY]:
            if line.alone and (line.alone_first or not line.batch):
                line.alone_first = False
                return [line.alone.take()[2]]
            if line.batch:
                line.alone_first = True
                chunk: list[Flight] = []
                for other in self._lines:
                    while other.batch and len(chunk) < size:
                        chunk.append(other.batch.take()[2])
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
        return tuple(queue for line in self._lines for queue in (line.batch, line.alone))
