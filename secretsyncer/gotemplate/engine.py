"""Renders Go templates: a pure function of template, catalogue and values, with a deadline and a memory limit.

The engine never calls back. A template that needs a value which it was not given ends with `Needs`. The caller
fetches the value and renders again. Nothing is loaded before the first render, which takes about 50 ms with the
compiled module in the cache, and seconds of compiling without it. Every other render of a small template takes a
fraction of a millisecond, in a thread of the engine, so that the event loop is not blocked.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cachetools import LRUCache

from secretsyncer.gotemplate.contract import (
    CatalogueEntry,
    DeadlineExceeded,
    EngineCatalogue,
    EngineUnavailable,
    Filter,
    MemoryExceeded,
    Needs,
    Rendered,
    TemplateFailure,
    View,
)

if TYPE_CHECKING:
    from secretsyncer.gotemplate.instance import Instance, Instances

__all__ = [
    "CatalogueEntry",
    "DeadlineExceeded",
    "EngineCatalogue",
    "EngineUnavailable",
    "Filter",
    "MemoryExceeded",
    "Needs",
    "Rendered",
    "TemplateEngine",
    "TemplateFailure",
    "compile_ahead",
]


INSTANCES = 2
"""Templates that are rendered at the same time. Each instance has up to 64 MiB."""

VIEWS = 5
"""Views of the catalogue that a template may ask for, one after the other. The last one has everything."""

PATIENCE = 2
"""Deadlines that all attempts of one render may take, the loading of catalogues included."""

LISTED = 1000
"""Templates that are remembered to use the catalogue."""

_NO_TAGS = View()
_NO_DATA: Mapping[str, bytes] = {}


class TemplateEngine:
    """Renders templates in up to `instances` threads. Any thread may call it; `close` ends it.

    `deadline` is in seconds of wall clock for one render, `memory_limit` in bytes for one instance.
    `cache_dir` has the compiled module, which is native code: `compiled.py` explains which files are trusted.
    """

    def __init__(
        self,
        *,
        cache_dir: Path | None,
        deadline: float = 2.0,
        memory_limit: int = 64 << 20,
        instances: int = INSTANCES,
    ) -> None:
        self._cache_dir = cache_dir
        self._deadline = deadline
        self._memory_limit = memory_limit
        self._slots = threading.BoundedSemaphore(instances)
        self._lock = threading.Lock()
        self._instances: Instances | None = None
        self._idle: list[Instance] = []
        self._listed: LRUCache[int, None] = LRUCache(LISTED)
        self._view = (0, View())
        self._executor = ThreadPoolExecutor(instances, thread_name_prefix="template")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def render(
        self,
        template: str,
        catalogue: EngineCatalogue,
        values: Mapping[str, bytes | str],
        data: Mapping[str, bytes] = _NO_DATA,
    ) -> Rendered | Needs:
        """Render in a thread. `data` is `.Data`. Raises TemplateFailure, or EngineUnavailable."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self.render_sync, template, catalogue, values, data)

    def render_sync(
        self,
        template: str,
        catalogue: EngineCatalogue,
        values: Mapping[str, bytes | str],
        data: Mapping[str, bytes] = _NO_DATA,
    ) -> Rendered | Needs:
        """Render in the calling thread. Raises like `render`."""
        began = time.thread_time()
        request = _Request(template, values, data)
        try:
            rendered = self._render(request, catalogue)
        except TemplateFailure as failure:
            failure.seconds, failure.loading = time.thread_time() - began, request.loading
            raise
        return replace(rendered, seconds=time.thread_time() - began, loading=request.loading)

    def _render(self, request: _Request, catalogue: EngineCatalogue) -> Rendered | Needs:
        known = hash(request.template)
        # A template that is not known to use the catalogue shows whether it does, because it does not get it.
        with self._borrowed(request) as instance:
            request.listed = known in self._listed and instance.catalogue == catalogue.serial
            reply, output = instance.call("render", request.framed())
        needed, attempts, began = View(), 0, time.thread_time()
        request.listed = request.listed or reply["status"] == "catalogue"
        while reply["status"] == "catalogue":
            attempts += 1
            if attempts > VIEWS or time.thread_time() - began > PATIENCE * self._deadline:
                raise DeadlineExceeded("the template takes too long", reads=request.ids, whole_catalogue=True)
            with self._lock:
                self._listed[known] = None
            needed |= View(frozenset(reply.get("keys", ())), frozenset(reply.get("rows", ())), attempts == VIEWS)
            with self._borrowed(request, catalogue, needed) as instance:
                reply, output = instance.call("render", request.framed())
        return _result(reply, output)

    def close(self) -> None:
        """Wait for running renders, and release memory and threads."""
        self._executor.shutdown(cancel_futures=True)
        with self._lock:
            self._idle.clear()
            if self._instances:
                self._instances.close()

    @contextmanager
    def _borrowed(
        self, request: _Request, catalogue: EngineCatalogue | None = None, needed: View = _NO_TAGS
    ) -> Iterator[Instance]:
        """An instance for one call. If a catalogue is given, the instance has this view of it.

        An instance loads only one view of one catalogue, because its memory never shrinks. It is not used again after a
        trap.
        """
        with self._slots:
            instance = self._take()
            keep = False
            try:
                if catalogue is not None and not instance.has(catalogue, needed):
                    began = time.thread_time()
                    view = self._view_of(catalogue, needed)
                    if instance.catalogue:
                        instance.close()
                        instance = self._new()
                    instance.load_catalogue(catalogue, view)
                    request.loading += time.thread_time() - began
                yield instance
                keep = not instance.is_large()
            except TemplateFailure as failure:
                failure.reads = request.ids
                failure.whole_catalogue = request.listed
                raise
            finally:
                self._give_back(instance, keep=keep)

    def _view_of(self, catalogue: EngineCatalogue, needed: View) -> View:
        """What to load where this is needed: with what others needed before, so that they share it."""
        with self._lock:
            known = self._view[1] if self._view[0] == catalogue.serial else View()
        view = catalogue.view(needed, known)
        with self._lock:
            self._view = (catalogue.serial, view)
        return view

    def _give_back(self, instance: Instance, *, keep: bool) -> None:
        if keep:
            with self._lock:
                self._idle.append(instance)
        else:
            instance.close()

    def _take(self) -> Instance:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._new()

    def _new(self) -> Instance:
        with self._lock:
            if self._instances is None:
                from secretsyncer.gotemplate.instance import Instances  # noqa: PLC0415 - loads wasmtime: see above

                self._instances = Instances(self._cache_dir, self._deadline, self._memory_limit)
            return self._instances.new()


class _Request:
    """Template and values in the framing that abi.go describes."""

    def __init__(self, template: str, values: Mapping[str, bytes | str], data: Mapping[str, bytes]) -> None:
        if _utf8(template) is None:
            raise TemplateFailure("the template is not valid Unicode")
        self.template = template
        self._values = {id_: _utf8(value) for id_, value in values.items()}
        self._data = data
        self.ids = frozenset(values)
        self.loading = 0.0
        self.listed = False
        """Whether the instance has the catalogue, so that the template may use it."""

    def framed(self) -> bytes:
        sizes = [-1 if value is None else len(value) for value in self._values.values()]
        call = {
            "template": self.template,
            "ids": list(self._values),
            "sizes": sizes,
            "keys": list(self._data),
            "lengths": [len(value) for value in self._data.values()],
            "listed": self.listed,
        }
        header = json.dumps(call).encode()
        raw = [*filter(None, self._values.values()), *self._data.values()]
        return b"".join([len(header).to_bytes(4, "little"), header, *raw])


def _utf8(value: bytes | str) -> bytes | None:
    """The value as UTF-8; None if it is not text. JSON allows half a surrogate pair in a str, which is not text."""
    try:
        if isinstance(value, str):
            return value.encode()
        value.decode()
    except UnicodeError:
        return None
    return value


def _result(reply: dict[str, Any], output: bytearray) -> Rendered | Needs:
    reads = frozenset(reply.get("reads", ()))
    calls = {Filter(call["kind"], tuple(call["args"])): call["matched"] for call in reply.get("filters", ())}
    filters = tuple(calls)
    whole = bool(reply.get("whole"))
    if reply["status"] == "ok":
        matched = frozenset(call for call, any_selected in calls.items() if any_selected)
        return Rendered(output.decode(), reads, filters, whole, matched)
    if reply["status"] == "needs":
        hints = tuple(reply.get("hints", ()))
        return Needs(tuple(reply["required"]), hints, bool(reply.get("public")), reads, filters, whole)
    static = bool(reply.get("static"))
    raise TemplateFailure(reply["message"], reads=reads, filters=filters, whole_catalogue=whole, static=static)


def compile_ahead(cache_dir: Path) -> Path:
    """Compile the module into `cache_dir`, readable by everyone: for the build of an image. Returns the file."""
    from secretsyncer.gotemplate.compiled import compile_ahead  # noqa: PLC0415 - loads wasmtime: see above

    return compile_ahead(cache_dir)
