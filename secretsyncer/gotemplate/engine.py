"""Renders Go templates: a pure function of template, catalogue and values, with a deadline and a memory limit.

The engine never calls back. A template that asks for a value which it was not given ends with `Needs`; the caller
fetches and renders again. Nothing is loaded before the first render, which costs 30 ms with the compiled module in
the cache and some seconds of compiling without. Every other render costs a fraction of a millisecond, in a thread
of the engine's own, so that the event loop goes on.

A `TemplateFailure` is the template's fault and comes again at each try. Its text tells position (line:column,
from 1), field or function, and never a secret's value.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, TypeVar

if TYPE_CHECKING:
    from secretsyncer.gotemplate.sandbox import Sandbox, Sandboxes

T = TypeVar("T")


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


class TemplateFailure(Exception):
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


class EngineUnavailable(RuntimeError):
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


class TemplateEngine:
    """Renders templates in up to `instances` threads. Any thread may call it; `close` ends it.

    `deadline` is in seconds of wall clock for one render, `memory_limit` in bytes for one instance.
    `cache_dir` keeps the compiled module, which is native code: see `compiled.py` for what is trusted there.
    """

    def __init__(
        self,
        *,
        cache_dir: Path | None,
        deadline: float = 2.0,
        memory_limit: int = 64 << 20,
        instances: int = 2,
    ) -> None:
        self._cache_dir = cache_dir
        self._deadline = deadline
        self._memory_limit = memory_limit
        self._slots = threading.BoundedSemaphore(instances)
        self._lock = threading.Lock()
        self._sandboxes: Sandboxes | None = None
        self._idle: list[Sandbox] = []
        self._executor = ThreadPoolExecutor(instances, thread_name_prefix="template")

    async def render(
        self, template: str, catalogue: EngineCatalogue, values: Mapping[str, bytes | str]
    ) -> Rendered | Needs:
        """Render in a thread. Raises TemplateFailure, or EngineUnavailable."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self.render_sync, template, catalogue, values)

    def render_sync(
        self, template: str, catalogue: EngineCatalogue, values: Mapping[str, bytes | str]
    ) -> Rendered | Needs:
        """Render in this thread, which it blocks. Raises as `render`."""
        request = _Request(template, values)
        with self._sandbox(request) as sandbox:
            reply = sandbox.call("render", request.encoded(listed=sandbox.catalogue == catalogue.serial))
        if reply["status"] == "catalogue":
            with self._sandbox(request, catalogue) as sandbox:
                reply = sandbox.call("render", request.encoded(listed=True))
        return _result(reply)

    def close(self) -> None:
        """Wait for the renders that are running, and let go of memory and threads."""
        self._executor.shutdown(cancel_futures=True)
        with self._lock:
            self._idle.clear()
            if self._sandboxes:
                self._sandboxes.close()

    @contextmanager
    def _sandbox(self, request: _Request, catalogue: EngineCatalogue | None = None) -> Iterator[Sandbox]:
        """An instance for one call, which holds the catalogue if one is given. One that trapped is not used again."""
        with self._slots:
            sandbox = self._take()
            keep = False
            try:
                if catalogue is not None:
                    sandbox = self._with_catalogue(sandbox, catalogue)
                yield sandbox
                keep = not sandbox.is_large()
            except TemplateFailure as failure:
                failure.reads = frozenset(request.values)
                raise
            finally:
                self._give_back(sandbox, keep=keep)

    def _with_catalogue(self, sandbox: Sandbox, catalogue: EngineCatalogue) -> Sandbox:
        """The instance, or a fresh one in its place: it takes one catalogue in its life, since it never shrinks."""
        if sandbox.catalogue == catalogue.serial:
            return sandbox
        if sandbox.catalogue:
            sandbox.close()
            sandbox = self._new()
        sandbox.load_catalogue(catalogue.serial, catalogue.encoded())
        return sandbox

    def _give_back(self, sandbox: Sandbox, *, keep: bool) -> None:
        if keep:
            with self._lock:
                self._idle.append(sandbox)
        else:
            sandbox.close()

    def _take(self) -> Sandbox:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._new()

    def _new(self) -> Sandbox:
        with self._lock:
            if self._sandboxes is None:
                from secretsyncer.gotemplate.sandbox import Sandboxes  # noqa: PLC0415 - loads wasmtime: see above

                self._sandboxes = Sandboxes(self._cache_dir, self._deadline, self._memory_limit)
            return self._sandboxes.new()


class _Request:
    """Template and values as the engine reads them; None stands for a value that is no text."""

    def __init__(self, template: str, values: Mapping[str, bytes | str]) -> None:
        text = _text(template)
        if text is None:
            raise TemplateFailure("the template is not valid Unicode text")
        self._template = text
        self.values = {id_: _text(value) for id_, value in values.items()}

    def encoded(self, *, listed: bool) -> bytes:
        return json.dumps({"template": self._template, "values": self.values, "listed": listed}).encode()


def _text(value: bytes | str) -> str | None:
    """The text of a value. Halves of surrogate pairs, which JSON lets into a str, are no text either."""
    try:
        return value.decode() if isinstance(value, bytes) else value.encode().decode()
    except UnicodeError:
        return None


def _result(reply: dict[str, Any]) -> Rendered | Needs:
    reads = frozenset(reply.get("reads", ()))
    filters = tuple(Filter(call["kind"], tuple(call["args"])) for call in reply.get("filters", ()))
    whole = bool(reply.get("whole"))
    if reply["status"] == "ok":
        return Rendered(reply.get("output", ""), reads, filters, whole)
    if reply["status"] == "needs":
        hints = tuple(reply.get("hints", ()))
        return Needs(tuple(reply["required"]), hints, bool(reply.get("public")), reads, filters, whole)
    raise TemplateFailure(reply["message"], reads=reads, filters=filters, whole_catalogue=whole)


def compile_ahead(cache_dir: Path) -> Path:
    """Compile the module into `cache_dir`, readable by everyone: for the build of an image. Returns the file."""
    from secretsyncer.gotemplate.compiled import compile_ahead  # noqa: PLC0415 - loads wasmtime: see above

    return compile_ahead(cache_dir)
