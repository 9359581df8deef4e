"""What goes into the template engine and what comes out of it: plain values, and the ways to fail.

    TemplateFailure          the template's fault, and comes again at each try
      DeadlineExceeded       it ran for too long
      MemoryExceeded         it wanted too much memory
    EngineUnavailable        the engine cannot start: no template's fault

A failure's text tells position (line:column, from 1), field or function, and never a secret's value.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict


class Filter(NamedTuple):
    """One call of a filter function: its result changes when a secret that matches comes, goes or changes."""

    kind: Literal["tagKey", "tag", "name"]
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A template's output and all that it depends on."""

    output: str
    reads: frozenset[str]
    """The ids whose values the template read."""
    filters: tuple[Filter, ...]
    """Each different filter call. Secrets that match one are dependencies with tags, version and date."""
    whole_catalogue: bool
    """True if the template may use `.Secrets` in any other way."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The template asked for the values of `required`, and will probably ask for those of `hints`."""

    required: tuple[str, ...]
    hints: tuple[str, ...]
    public: bool = True
    """False if a required id may have been made from a secret's value: then no message may show it."""
    reads: frozenset[str] = frozenset()
    filters: tuple[Filter, ...] = ()
    whole_catalogue: bool = False


class TemplateFailure(Exception):  # noqa: N818 - a failure is what the whole program calls it
    """The template cannot be rendered. What it depended on until then is here: a change there may mend it."""

    def __init__(
        self,
        message: str,
        *,
        reads: frozenset[str] = frozenset(),
        filters: tuple[Filter, ...] = (),
        whole_catalogue: bool = False,
    ) -> None:
        super().__init__(message)
        self.reads = reads
        self.filters = filters
        self.whole_catalogue = whole_catalogue


class DeadlineExceeded(TemplateFailure):
    """The template ran for too long."""


class MemoryExceeded(TemplateFailure):
    """The template wanted more memory than there is for it."""


class EngineUnavailable(RuntimeError):  # noqa: N818 - as above
    """The engine cannot start: not built, or this machine does not let it run. No template's fault."""


class CatalogueEntry(TypedDict):
    """One secret as templates see it under its name in `.Secrets`."""

    Tags: Mapping[str, str]
    CurrentVersionID: str
    UpdatedAt: str | None
    """RFC 3339; None becomes Go's zero time."""


class EngineCatalogue:
    """One listing of AWS, made once and used for all renders until the next listing.

    It is encoded when a template first looks at `.Secrets`, and each instance of the engine keeps it decoded.
    """

    _serials = itertools.count(1)
    _chunk = 500

    def __init__(self, entries: Mapping[str, CatalogueEntry]) -> None:
        self.serial = next(self._serials)
        self._entries: Mapping[str, CatalogueEntry] = entries
        self._encoded = b""
        self._lock = threading.Lock()

    def encoded(self) -> bytes:
        """The JSON that the engine reads. Encoded in chunks, since the encoder holds the interpreter's lock."""
        with self._lock:
            if not self._encoded:
                items = iter(self._entries.items())
                chunks = iter(lambda: dict(itertools.islice(items, self._chunk)), {})
                self._encoded = b"{%s}" % b",".join(json.dumps(chunk)[1:-1].encode() for chunk in chunks)
                self._entries = {}
            return self._encoded
