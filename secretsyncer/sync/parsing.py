"""Parses specs without blocking the event loop, because the expressions of one can take seconds to compile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from secretsyncer.errors import SyncFailure, without_frames
from secretsyncer.kube.objects import Object, key_of
from secretsyncer.synced_secret import SyncedSecret, parse
from secretsyncer.turns import Places

Parse = Callable[[Object], SyncedSecret]

_GLANCE = 0.005
"""Seconds of processor time that the expressions of a spec may take to compile in the event loop."""
_THREADS = 2
"""Specs that are parsed in threads at the same time: one of a namespace."""


def at_once(obj: Object) -> SyncedSecret:
    """The object. Raises Rejected, or OutOfPatience if that takes long."""
    return parse(obj, seconds=_GLANCE)


class Parser:
    """Parses long specs in threads."""

    def __init__(self) -> None:
        self._threads = Places(_THREADS)

    async def in_a_thread(self, obj: Object) -> Parse:
        """What returns the object, or raises Rejected, at once."""
        async with self._threads.of(key_of(obj).namespace):
            parsed = await asyncio.to_thread(_attempt, obj)

        def parsed_before(_: Object) -> SyncedSecret:
            if isinstance(parsed, SyncFailure):
                raise parsed
            return parsed

        return parsed_before


def _attempt(obj: Object) -> SyncedSecret | SyncFailure:
    try:
        return parse(obj)
    except SyncFailure as failure:
        return without_frames(failure)
