"""Inputs, outputs and failures of the template engine.

    TemplateFailure          the template is wrong; every attempt fails
      DeadlineExceeded       it took too long
      MemoryExceeded         it needed too much memory
    EngineUnavailable        the engine cannot start, whatever the template is

The text of a failure has the position (line:column, from 1), the field or the function, and never a secret value.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypedDict


class Filter(NamedTuple):
    """One call of a filter function. Its result changes when a matching secret appears, disappears or changes."""

    kind: Literal["tagKey", "tag", "name"]
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The output of a template and everything that it depends on."""

    output: str
    reads: frozenset[str]
    """The ids of the values that the template read."""
    filters: tuple[Filter, ...]
    """Each distinct filter call. Matching secrets are dependencies, with their tags, version and date."""
    whole_catalogue: bool
    """True if the template may use `.Secrets` in any other way."""
    matched: frozenset[Filter] = frozenset()
    """The filter calls that selected a secret."""
    seconds: float = field(default=0.0, compare=False)
    """Processor time of this render."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The template needs the values of `required`, and will probably need those of `hints`."""

    required: tuple[str, ...]
    hints: tuple[str, ...]
    public: bool = True
    """False if a required id may have been computed from a secret value: then no message may show it."""
    reads: frozenset[str] = frozenset()
    filters: tuple[Filter, ...] = ()
    whole_catalogue: bool = False
    seconds: float = field(default=0.0, compare=False)


class TemplateFailure(Exception):  # noqa: N818 - a failure is what the whole program calls it
    """The template cannot be rendered. Its dependencies so far are included, because a change of one may fix it.

    `static`: the template is wrong by itself, whatever is read, so that its text reveals nothing of any value.
    """

    def __init__(
        self,
        message: str,
        *,
        reads: frozenset[str] = frozenset(),
        filters: tuple[Filter, ...] = (),
        whole_catalogue: bool = False,
        static: bool = False,
    ) -> None:
        super().__init__(message)
        self.static = static
        self.seconds = 0.0
        self.reads = reads
        self.filters = filters
        self.whole_catalogue = whole_catalogue


class DeadlineExceeded(TemplateFailure):
    """The template took too long."""


class MemoryExceeded(TemplateFailure):
    """The template needed more memory than its limit."""


class EngineUnavailable(RuntimeError):  # noqa: N818 - as above
    """The engine cannot start, because it was not built or cannot run on this machine."""


class CatalogueEntry(TypedDict):
    """One secret in `.Secrets`."""

    Tags: Mapping[str, str]
    CurrentVersionID: str
    UpdatedAt: str | None
    """RFC 3339; None becomes Go's zero time."""


class EngineCatalogue:
    """One listing of AWS, used for all renders until the next listing.

    It is encoded when a template first uses `.Secrets`. Each instance of the engine keeps it decoded.
    """

    _serials = itertools.count(1)
    _chunk = 500

    def __init__(self, entries: Mapping[str, CatalogueEntry]) -> None:
        self.serial = next(self._serials)
        self._entries: Mapping[str, CatalogueEntry] = entries
        self._encoded = b""
        self._lock = threading.Lock()

    def encoded(self) -> bytes:
        """The JSON for the engine. It is encoded in chunks, because the encoder holds the GIL."""
        with self._lock:
            if not self._encoded:
                items = iter(self._entries.items())
                chunks = iter(lambda: dict(itertools.islice(items, self._chunk)), {})
                self._encoded = b"{%s}" % b",".join(json.dumps(chunk)[1:-1].encode() for chunk in chunks)
                self._entries = {}
            return self._encoded
