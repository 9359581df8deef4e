"""Which templates are slow, and which are quick: no slow one runs twice for the same inputs, or delays the quick ones.

A render is a pure function of template, values and catalogue. What timed out, took too much memory, failed late or asked
late for another secret does the same again, at every resync and retry. It is remembered with its inputs (of a value, its
version) until one of them changes or newer ones need the room. Outputs are not remembered: they hold values.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from contextlib import AsyncExitStack
from hashlib import blake2b
from typing import NamedTuple

from cachetools import LRUCache

from secretsyncer.aws.listing.catalogue import Catalogue
from secretsyncer.gotemplate.engine import INSTANCES, DeadlineExceeded, Needs, TemplateFailure
from secretsyncer.sync.budget import LONG_RENDER, Version
from secretsyncer.turns import Places

LONG_TIMEOUT = 0.5
"""Seconds from which on a render that timed out is remembered. The deadline is one of wall clock, a multiple of this. A
template that had less of a processor may have had to wait for it: that says nothing about the next attempt."""

ROOM = 4 << 20
"""Bytes of names and messages that are remembered."""


Versions = Mapping[str, Version]
"""The version of each value, by the id with which the template reads it."""

_TEXTS = 10_000


class _Slow(NamedTuple):
    result: Needs | TemplateFailure
    listing: str | None
    """Digest of the catalogue, if the template looked at it."""


class SlowTemplates:
    """The slow renders of all templates. `room` is in bytes."""

    def __init__(self, room: int = ROOM) -> None:
        self._texts: LRUCache[int, None] = LRUCache(_TEXTS)
        self._slow: LRUCache[bytes, _Slow] = LRUCache(room, getsizeof=_size)

    def recall(self, text: str, versions: Versions, catalogue: Catalogue) -> Needs | TemplateFailure | None:
        """What this render gave before; None if it has to be tried."""
        if hash(text) not in self._texts:
            return None
        slow = self._slow.get(_made_from(text, versions))
        if slow is None or slow.listing not in {None, catalogue.digest()}:
            return None
        # Each raise adds frames to an exception, which hold the values of whoever raises it.
        return _bare(slow.result) if isinstance(slow.result, TemplateFailure) else slow.result

    def note(self, text: str, versions: Versions, catalogue: Catalogue, result: Needs | TemplateFailure) -> None:
        """A render has given this. It is remembered if it took long."""
        if result.seconds < (LONG_TIMEOUT if isinstance(result, DeadlineExceeded) else LONG_RENDER):
            return
        looked = result.whole_catalogue or bool(result.filters)
        if isinstance(result, TemplateFailure):
            result = _bare(result)
        slow = _Slow(result, catalogue.digest() if looked else None)
        if _size(slow) <= self._slow.maxsize:
            self._slow[_made_from(text, versions)] = slow
            self._texts[hash(text)] = None


def _made_from(text: str, versions: Versions) -> bytes:
    return blake2b(repr((text, sorted(versions.items()))).encode(), digest_size=16).digest()


def _bare(failure: TemplateFailure) -> TemplateFailure:
    """The failure without its traceback."""
    bare = type(failure)(
        str(failure),
        reads=failure.reads,
        filters=failure.filters,
        whole_catalogue=failure.whole_catalogue,
        static=failure.static,
    )
    bare.seconds = failure.seconds
    return bare


def _size(slow: _Slow) -> int:
    result = slow.result
    texts = [str(result)] if isinstance(result, TemplateFailure) else [*result.required, *result.hints]
    arguments = [argument for call in result.filters for argument in call.args]
    return 500 + sum(100 + len(text) for text in (*texts, *result.reads, *arguments))


class TemplateTurns:
    """Turns at the instances of the engine. One instance is for templates that were quick when they ran last: however many
    new and slow ones there are, those do not wait for them.
    """

    def __init__(self) -> None:
        self._all = Places(INSTANCES)
        self._for_others = Places(INSTANCES - 1)
        self._quick: LRUCache[int, None] = LRUCache(_TEXTS)

    async def enter(self, stack: AsyncExitStack, text: str, party: Hashable) -> None:
        """Wait for an instance. The stack gives it back."""
        if hash(text) not in self._quick:
            await stack.enter_async_context(self._for_others.of(party))
        await stack.enter_async_context(self._all.of(party))

    def waiting(self, party: Hashable) -> int:
        """How many templates of this party wait."""
        return self._all.waiting(party) + self._for_others.waiting(party)

    def note(self, text: str, seconds: float) -> None:
        """The template ran for so many seconds of processor time."""
        self._quick.pop(hash(text), None)
        if seconds < LONG_RENDER:
            self._quick[hash(text)] = None
