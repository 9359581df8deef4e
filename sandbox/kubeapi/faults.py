"""Faults on demand, for tests of clients: failures that a real API server cannot be told to produce.

A fault applies to the requests that match its filters (verb, resource, namespace, name, or any predicate), `times`
times (None: until it is removed). It counts its `hits`. `remove()`, the end of its `with` block and `Faults.clear()`
remove it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self, TypedDict, Unpack

from sandbox.kubeapi.errors import ApiError, expired
from sandbox.kubeapi.requests import Request
from sandbox.kubeapi.watches import error_event

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Where(TypedDict, total=False):
    """The requests that a fault applies to: those that match every filter given."""

    verb: str
    resource: str  # "secrets", "widgets/status"
    namespace: str
    name: str
    when: Callable[[Request], bool]


class Kind(Enum):
    """What happens to a request, or to a watch."""

    FAIL = "answer with an error"
    DELAY = "wait, then go on"
    HANG = "never answer"
    DROP = "close the connection without an answer"
    DROP_ANSWER = "do it, then close the connection without an answer"
    CUT = "close the connection in the middle of the next line of a watch"
    SILENCE = "send nothing more to a watch"


@dataclass(eq=False)
class Fault:
    """One active fault."""

    kind: Kind
    where: Where
    times: int | None = None
    error: ApiError | None = None
    seconds: float = 0.0
    hits: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def matches(self, request: Request) -> bool:
        spent = self.times is not None and self.hits >= self.times
        return not spent and not self.over.is_set() and _matches(self.where, request)

    def remove(self) -> None:
        """End the fault. Requests that hang and watches that are silent because of it continue."""
        self.over.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


class LiveWatch:
    """One open watch: the lines that are still to be sent; None ends it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()


class Faults:
    """The active faults and the open watches."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._watches: set[LiveWatch] = set()

    def fail(
        self,
        status: int,
        *,
        retry_after: int | None = None,
        message: str = "injected by a test",
        times: int | None = None,
        **where: Unpack[Where],
    ) -> Fault:
        """Answer with an HTTP error and its `Status` object; `retry_after` in seconds."""
        error = ApiError(status, _REASONS.get(status, ""), message, retry_after=retry_after)
        return self._add(Fault(Kind.FAIL, where, times, error=error))

    def delay(self, seconds: float, *, times: int | None = None, **where: Unpack[Where]) -> Fault:
        """Answer after this many seconds."""
        return self._add(Fault(Kind.DELAY, where, times, seconds=seconds))

    def hang(self, *, times: int | None = None, **where: Unpack[Where]) -> Fault:
        """Do not answer until the fault is removed."""
        return self._add(Fault(Kind.HANG, where, times))

    def drop(self, *, times: int | None = None, **where: Unpack[Where]) -> Fault:
        """Close the connection without an answer. A write has not happened."""
        return self._add(Fault(Kind.DROP, where, times))

    def drop_answer(self, *, times: int | None = None, **where: Unpack[Where]) -> Fault:
        """Do the write, then close the connection without an answer."""
        return self._add(Fault(Kind.DROP_ANSWER, where, times))

    def cut(self, *, times: int | None = 1, **where: Unpack[Where]) -> Fault:
        """Send half of a watch's next line, then close the connection."""
        return self._add(Fault(Kind.CUT, where, times))

    def silence(self, *, times: int | None = None, **where: Unpack[Where]) -> Fault:
        """Keep watches open, also those that are open already, and send nothing until the fault is removed."""
        return self._add(Fault(Kind.SILENCE, where, times))

    def inject(self, line: bytes, **where: Unpack[Where]) -> int:
        """Send raw bytes into the open watches; returns their number."""
        return self._send([line], where)

    def end_watches(self, **where: Unpack[Where]) -> int:
        """End the open watches as a server does at their timeout; returns their number."""
        return self._send([None], where)

    def expire_watches(self, **where: Unpack[Where]) -> int:
        """End the open watches with an ERROR event of code 410; returns their number."""
        return self._send(
            [error_event(expired("The resourceVersion for the provided watch is too old.")), None], where
        )

    def live_watches(self, **where: Unpack[Where]) -> int:
        """The number of open watches."""
        return self._send([], where)

    def clear(self) -> None:
        """Remove all faults."""
        for fault in self._faults:
            fault.remove()
        self._faults.clear()

    def hit(self, request: Request, *kinds: Kind) -> Fault | None:
        """Called by the server: the first fault of these kinds for a request, counted as a hit."""
        self._faults = [fault for fault in self._faults if not fault.over.is_set()]
        for fault in self._faults:
            if fault.kind in kinds and fault.matches(request):
                fault.hits += 1
                return fault
        return None

    @contextlib.contextmanager
    def watching(self, request: Request) -> Iterator[LiveWatch]:
        """Called by the server: a watch is open within this block."""
        watch = LiveWatch(request)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def _add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def _send(self, lines: list[bytes | None], where: Where) -> int:
        chosen = [watch for watch in self._watches if _matches(where, watch.request)]
        for watch in chosen:
            for line in lines:
                watch.lines.put_nowait(line)
        return len(chosen)


def _matches(where: Where, request: Request) -> bool:
    wanted = {name: value for name, value in where.items() if name != "when"}
    return all(getattr(request, name) == value for name, value in wanted.items()) and (
        "when" not in where or where["when"](request)
    )
