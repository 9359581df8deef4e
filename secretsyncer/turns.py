"""Who goes next, where many share a few places: whoever holds the fewest, and equal ones in turn.

A *party* is whoever gets a share: a namespace. `Turns` is the order of one line; whoever owns it counts the places that
each party holds. Used by the work queue for its workers, and by `Places` for threads.

The rule is the same everywhere: a party that holds places may have another one if it then holds at most three times as
many as are left for the others. So a party alone gets three quarters of the places, and what another wants starts at
once, not only one at a time: of 16 places, a party gets 12, the next 3, and a third one the last.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def has_room(held: int, free: float) -> bool:
    """Whether a party that holds so many places may take one of those that are free."""
    return free > 0 and (not held or held < 3 * (free - 1))


def places_for(share: int) -> int:
    """So many places that a party alone gets this share of them."""
    return -(-4 * share // 3)


class Turns(Generic[K, T]):
    """Keys that wait, each with a note, in one line per party. How many wait does not matter for the time it takes.

    `held` counts the places of each party. Its owner calls `moved` after each change of it. Without it, all are equal.
    """

    def __init__(self, held: Counter[Any] | None = None) -> None:
        self._held: Counter[Any] = held if held is not None else Counter()
        self._lines: dict[Hashable, OrderedDict[K, T]] = {}
        self._by_held: list[OrderedDict[Hashable, None]] = [OrderedDict()]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def holds(self, party: Hashable, key: K) -> bool:
        """Whether this key waits."""
        return key in self._lines.get(party, ())

    def length(self, party: Hashable) -> int:
        """How many keys of this party wait."""
        return len(self._lines.get(party, ()))

    def notes(self) -> Iterator[T]:
        """The notes of all keys that wait."""
        return (note for line in self._lines.values() for note in line.values())

    def add(self, party: Hashable, key: K, note: T) -> None:
        """The last one of its party."""
        line = self._lines.get(party)
        if line is None:
            line = self._lines[party] = OrderedDict()
            self._enter(party, self._held[party])
        line[key] = note
        self._count += 1

    def remove(self, party: Hashable, key: K) -> None:
        """It no longer waits, if it did."""
        line = self._lines.get(party)
        if line is not None and key in line:
            del line[key]
            self._took_one(party, line)

    def least(self) -> int | None:
        """How many places the next party holds; None if nobody waits."""
        if self._count:
            for held, parties in enumerate(self._by_held):
                if parties:
                    return held
        return None

    def take(self) -> tuple[Hashable, K, T]:
        """The next key, of the party with the fewest places. Somebody must wait."""
        party = next(iter(self._by_held[self.least() or 0]))
        line = self._lines[party]
        key, note = line.popitem(last=False)
        self._by_held[self._held[party]].move_to_end(party)
        self._took_one(party, line)
        return party, key, note

    def moved(self, party: Hashable, before: int) -> None:
        """The party held `before` places until now. It becomes the last of those that hold as many as it does."""
        if party in self._lines:
            del self._by_held[before][party]
            self._enter(party, self._held[party])

    def clear(self) -> None:
        """Nobody waits any more."""
        self._lines.clear()
        self._by_held = [OrderedDict()]
        self._count = 0

    def _enter(self, party: Hashable, held: int) -> None:
        while len(self._by_held) <= held:
            self._by_held.append(OrderedDict())
        self._by_held[held][party] = None

    def _took_one(self, party: Hashable, line: OrderedDict[K, T]) -> None:
        self._count -= 1
        if not line:
            del self._lines[party]
            del self._by_held[self._held[party]][party]


def in_turns(keys: Iterable[K], party: Callable[[K], Hashable]) -> list[K]:
    """The keys, without repetitions, in the order in which they go if no party holds a place."""
    turns: Turns[K, None] = Turns()
    for key in dict.fromkeys(keys):
        turns.add(party(key), key, None)
    return [turns.take()[1] for _ in range(len(turns))]


class Places:
    """A few places for many parties: a semaphore that is fair to each. `async with places.of(party)`."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._held: Counter[Hashable] = Counter()
        self._taken = 0
        self._turns: Turns[asyncio.Future[None], None] = Turns(self._held)

    @asynccontextmanager
    async def of(self, party: Hashable) -> AsyncIterator[None]:
        """One place for this party, when it is its turn."""
        turn = asyncio.get_running_loop().create_future()
        self._turns.add(party, turn, None)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if self._turns.holds(party, turn):
                self._turns.remove(party, turn)
            else:
                self._leave(party)
            raise
        try:
            yield
        finally:
            self._leave(party)

    def waiting(self, party: Hashable) -> int:
        """How many of this party wait."""
        return self._turns.length(party)

    def _admit(self) -> None:
        while (held := self._turns.least()) is not None and has_room(held, self._places - self._taken):
            party, turn, _ = self._turns.take()
            self._count(party, 1)
            if not turn.done():  # cancelled in this very moment: it leaves in the next one
                turn.set_result(None)

    def _leave(self, party: Hashable) -> None:
        self._count(party, -1)
        self._admit()

    def _count(self, party: Hashable, by: int) -> None:
        before = self._held[party]
        self._held[party] += by
        if not self._held[party]:
            del self._held[party]
        self._taken += by
        self._turns.moved(party, before)
