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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypedDict

CATALOGUE_LIMIT = 12 << 20
"""Bytes of names and tags that an instance of the engine may hold, of its memory of 64 MiB."""

_OVERHEAD = 200
_TAG_OVERHEAD = 60
"""What the engine needs for each secret and each tag, besides their texts."""


class Filter(NamedTuple):
    """One call of a filter function. Its result changes when a matching secret appears, disappears or changes.

    The kind `path` selects parameters, and is not a call of the engine.
    """

    kind: Literal["tagKey", "tag", "name", "path"]
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
    loading: float = field(default=0.0, compare=False)
    """That part of it in which a new catalogue was loaded, for all templates."""


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
    loading: float = field(default=0.0, compare=False)


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
        self.seconds = self.loading = 0.0
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


class View(NamedTuple):
    """A part of a catalogue: these tags of all secrets, and all tags of these secrets. All names are in every view."""

    keys: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()
    all: bool = False

    def __or__(self, other: View) -> View:
        return View(self.keys | other.keys, self.rows | other.rows, self.all or other.all)

    def covers(self, other: View) -> bool:
        """Whether this view has everything of the other."""
        return self.all or (not other.all and self.keys >= other.keys and self.rows >= other.rows)


class EngineCatalogue:
    """One listing of AWS, used for all renders until the next listing.

    Each instance of the engine keeps it decoded. Tags can be larger than its memory (50 for each secret, 128 and 256
    characters long), and whoever may tag secrets decides about that. So a catalogue of more than `limit` bytes is
    handed over in a `View`: with those tags only that the templates read.
    """

    _serials = itertools.count(1)
    _chunk = 1 << 20

    def __init__(self, entries: Mapping[str, CatalogueEntry], *, limit: int = CATALOGUE_LIMIT) -> None:
        self.serial = next(self._serials)
        self._entries = entries
        self._limit = limit
        self._whole: bool | None = None

    def view(self, needed: View, known: View) -> View:
        """What to hand over where `needed` is needed and `known` was handed over before.

        Raises TemplateFailure if that is too large.
        """
        if self._whole is None:
            self._whole = self._size(View(all=True)) <= self._limit
        if self._whole:
            return View(all=True)
        both = needed | known
        if self._size(both) <= self._limit:
            return both
        size = self._size(needed)
        if size > self._limit:
            raise MemoryExceeded(
                f"the names of AWS secrets with the tags that the template looks at take {size} bytes or more, and may "
                f"take {self._limit}; filterByTagKey, filterByTag, filterByName and .Tags.<key> look at fewer tags than "
                "a loop over .Tags or toJson"
            )
        return needed

    def parts(self, view: View) -> Iterator[bytes]:
        """The JSON for the engine, in parts of a megabyte: a buffer of it stays, and the encoder holds the GIL."""
        head: dict[str, Any] = {"first": True, "all": view.all, "keys": sorted(view.keys)}
        entries: dict[str, Any] = {}
        size = 0
        for name, entry in self._entries.items():
            whole = view.all or name in view.rows
            tags = entry["Tags"]
            if not whole:
                tags = {key: tags[key] for key in view.keys & tags.keys()}
            entries[name] = {**entry, "Tags": tags, "Whole": whole}
            size += _size_of(name, entry, tags)
            if size > self._chunk:
                yield json.dumps({**head, "entries": entries}).encode()
                head, entries, size = {}, {}, 0
        if entries or head:
            yield json.dumps({**head, "entries": entries}).encode()

    def _size(self, view: View) -> int:
        """About the memory that a view takes; where it is too large, of a part that is too large already."""
        size = 0
        for name, entry in self._entries.items():
            tags = entry["Tags"]
            if not view.all and name not in view.rows:
                tags = {key: tags[key] for key in view.keys & tags.keys()}
            size += _size_of(name, entry, tags)
            if size > self._limit:
                break
        return size


def _size_of(name: str, entry: CatalogueEntry, tags: Mapping[str, str]) -> int:
    texts = [name, entry["CurrentVersionID"], *tags.keys(), *tags.values()]
    return _OVERHEAD + _TAG_OVERHEAD * len(tags) + sum(map(_bytes, texts))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
